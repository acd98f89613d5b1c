import { appendFileSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { type LocalPostgres, openPostgres } from "../../../lib/local/postgres.ts";
import { makeTemporaryDirectory } from "../../../lib/local/postgres-process.ts";
import { fillTemplate, type TestServer } from "../../support/global-setup.ts";
import { findLastingPort } from "./lasting-port.ts";
import { createProbe } from "./probe.ts";

/**
 * Settings of the laboratory's own PostgreSQL. Commits survive a crash of the server, which loses everything that was
 * not written; the machine does not crash, so nothing is synced.
 */
const parameters = {
  fsync: "off",
  full_page_writes: "off",
  max_connections: "100",
  // The expected targets depend on the order of the commits.
  track_commit_timestamp: "on",
  checkpoint_timeout: "30min",
  // A crash loses all that no commit has waited for, not only the last moments of it.
  wal_writer_delay: "10s",
  wal_writer_flush_after: "1GB",
};

const template = "lab_template";

export type LabServer = {
  /** Argument of openTestDatabase. */
  readonly server: TestServer;
  /** Immediate shutdown: sessions die, and nothing that was not written survives. */
  crash(): Promise<void>;
  /** SIGKILL to the server's first process: the others get no signal, and end as they notice it. */
  kill(): Promise<void>;
  /** A stop as an operator would do it. */
  stop(): Promise<void>;
  /** Starts again on the same port, after `crash`, `kill` or `stop`. */
  start(): Promise<void>;
  /**
   * SIGKILL: the server ends all other backends, too, and recovers by itself. Answers when it takes connections again:
   * false if none was left to kill, and nothing has happened.
   */
  killBackends(pids: readonly number[]): Promise<boolean>;
  /** The server's log. */
  log(): string;
  close(): Promise<void>;
};

export async function openLabServer(): Promise<LabServer> {
  const directory = await makeTemporaryDirectory();
  const dataDir = `${directory}/postgres`;
  const logFile = `${directory}/server.log`;
  const port = await findLastingPort();
  const open = (): Promise<LocalPostgres> =>
    openPostgres({ dataDir, database: template, parameters, port, log: (text) => appendFileSync(logFile, text) });
  let running = await open();
  const { host, user, password, adminUrl } = running;
  const start = async (): Promise<void> => {
    running = await onceFree(open);
  };
  await fillTemplate(running);
  await createProbe(running);
  return {
    server: { host, port, user, password, adminUrl, template, majorVersion: 18, logFile },
    crash: () => {
      process.kill(running.pid, "SIGQUIT");
      return running.close();
    },
    kill: () => {
      process.kill(running.pid, "SIGKILL");
      return running.close();
    },
    stop: () => running.close(),
    start,
    killBackends: (pids) => killBackends(pids, { logFile, server: () => running, start }),
    log: () => readFileSync(logFile, "utf8"),
    close: async () => {
      await running.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const longestRecovery = 30_000;

type Killing = {
  readonly logFile: string;
  readonly server: () => LocalPostgres;
  readonly start: () => Promise<void>;
};

async function killBackends(pids: readonly number[], { logFile, server, start }: Killing): Promise<boolean> {
  const before = startsIn(logFile);
  if (pids.filter((pid) => signal(pid, "SIGKILL")).length === 0) return false;
  // Right after the kill it would still take a connection. One that was ending anyway is nothing to recover from.
  const until = Date.now() + longestRecovery;
  while (startsIn(logFile) === before && Date.now() < until) {
    if (!signal(server().pid, 0)) await start();
    await pause(20);
  }
  return startsIn(logFile) > before;
}

/** Opens a server again: the memory of a killed one is in use until the last of its processes has ended. */
async function onceFree(open: () => Promise<LocalPostgres>): Promise<LocalPostgres> {
  const until = Date.now() + longestRecovery;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (Date.now() > until || !String(error).includes("is still in use")) throw error;
      await pause(20);
    }
  }
}

/** How often the server has begun to take connections. */
const startsIn = (logFile: string): number =>
  readFileSync(logFile, "utf8").split("database system is ready to accept connections").length - 1;

/** False if it has ended by itself meanwhile. */
function signal(pid: number, name: "SIGKILL" | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
