import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LocalPostgres, openPostgres } from "../../lib/local/postgres.ts";
import { makeTemporaryDirectory } from "../../lib/local/postgres-process.ts";

const fast = { fsync: "off", max_connections: "10" };
let directory: string;

beforeAll(async () => {
  directory = await makeTemporaryDirectory();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function withSql<T>(server: LocalPostgres, use: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const { host, port, user: username, password, database } = server;
  const sql = postgres({ host, port, username, password, database, max: 1, onnotice: () => {} });
  try {
    return await use(sql);
  } finally {
    await sql.end();
  }
}

test("keeps data over close and open, with a stale lock of a crash in between", async () => {
  const dataDir = join(directory, "kept");
  const first = await openPostgres({ dataDir, parameters: fast });
  await withSql(first, (sql) => sql`create table blood as select 7 as volume`);
  await first.close();
  await writeFile(join(dataDir, "cluster", "postmaster.pid"), `${process.pid}\n/elsewhere\n`);

  const second = await openPostgres({ dataDir, parameters: fast });
  const rows = await withSql(second, (sql) => sql`select volume, current_user::text as who from blood`);
  const [server] = await withSql(
    second,
    (sql) => sql`select current_setting('server_encoding') as encoding, datcollate as collate,
      pg_get_userbyid(datdba)::text as owner from pg_database where datname = current_database()`,
  );
  await second.close();

  expect([...rows]).toEqual([{ volume: 7, who: "idhub_user" }]);
  expect(server).toEqual({ encoding: "UTF8", collate: "C", owner: "idhub_user" });
});

test("refuses a directory that a server has open, and names its process", async () => {
  const dataDir = join(directory, "kept");
  const server = await openPostgres({ dataDir, parameters: fast });
  const second = openPostgres({ dataDir, parameters: fast });
  await expect(second).rejects.toThrow(new RegExp(`LOCAL_DATABASE_RUNNING: .*process ${server.pid}`));
  await server.close();
});

test("refuses a directory of another major version", async () => {
  const dataDir = join(directory, "kept");
  const file = join(dataDir, "cluster", "PG_VERSION");
  const version = await readFile(file, "utf8");
  await writeFile(file, "12\n");
  await expect(openPostgres({ dataDir })).rejects.toThrow(/LOCAL_DATABASE_VERSION: .* PostgreSQL 12, got binaries/);
  await writeFile(file, version);
});

test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
  "leaves no server behind when its opener gets %s",
  async (signal) => {
    const dataDir = join(directory, "kept");
    const script = `
    import { openPostgres } from ${JSON.stringify(new URL("../../lib/local/postgres.ts", import.meta.url).href)};
    const server = await openPostgres({ dataDir: ${JSON.stringify(dataDir)} });
    console.log(server.pid);
    setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [Buffer];
    const pid = Number(line.toString());
    expect(isAlive(pid)).toBe(true);
    child.kill(signal);
    await once(child, "exit");
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  },
);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
