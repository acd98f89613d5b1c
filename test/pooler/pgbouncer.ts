import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findFreePort } from "../../lib/local/free-port.ts";
import { makeTemporaryDirectory, serverUser } from "../../lib/local/postgres-process.ts";
import type { TestServer } from "../support/global-setup.ts";

/** A pooler in front of the server, which hands its sessions out for one transaction at a time. */
export type Pooler = { readonly port: number; close(): Promise<void> };

export const poolSize = 2;

const startMilliseconds = 20_000;

/** Ends the pooler when our end of its input closes, however we end. */
const guarded = 'exec 3<&0; "$@" & pooler=$!; (read _ <&3; kill -TERM $pooler) & wait $pooler';

export async function openPooler(server: TestServer): Promise<Pooler> {
  const version = readVersion();
  const port = await findFreePort();
  const folder = await makeTemporaryDirectory();
  const owner = serverUser();
  const write = async (name: string, lines: readonly string[]): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, `${lines.join("\n")}\n`, { mode: 0o600 });
    if ("uid" in owner) await chown(path, owner.uid, owner.gid);
    return path;
  };
  const logins = await write("logins", [`"${server.user}" "${server.password}"`]);
  const config = await write("pgbouncer.ini", toConfig({ server, port, logins, version }));
  const child = spawn("sh", ["-c", guarded, "guard", "pgbouncer", config], {
    ...owner,
    stdio: ["pipe", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  const close = async (): Promise<void> => {
    child.stdin.end();
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await untilReady(child);
  } catch (error) {
    await close();
    throw error;
  }
  return { port, close };
}

function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    const give = (): void => {
      clearTimeout(timer);
      reject(new Error(`TEST_POOLER: pgbouncer does not start: ${said}`));
    };
    const timer = setTimeout(give, startMilliseconds);
    child.once("exit", give);
    child.stderr?.on("data", (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-2_000);
      if (!said.includes("process up")) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function readVersion(): number {
  try {
    const said = execFileSync("pgbouncer", ["--version"], { encoding: "utf8" });
    const [, major = "0", minor = "0"] = /(\d+)\.(\d+)/.exec(said) ?? [];
    return Number(major) * 100 + Number(minor);
  } catch (cause) {
    throw new Error(
      "TEST_POOLER: pgbouncer is not installed; install it (apt-get install pgbouncer), it need not run",
      {
        cause,
      },
    );
  }
}

type Config = { readonly server: TestServer; readonly port: number; readonly logins: string; readonly version: number };

function toConfig({ server, port, logins, version }: Config): string[] {
  return [
    "[databases]",
    `* = host=${server.host} port=${server.port}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = scram-sha-256",
    `auth_file = ${logins}`,
    `admin_users = ${server.user}`,
    "pool_mode = transaction",
    `default_pool_size = ${poolSize}`,
    "max_client_conn = 500",
    // older ones keep no prepared statements at all
    ...(version >= 121 ? ["max_prepared_statements = 0"] : []),
  ];
}
