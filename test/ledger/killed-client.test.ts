import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import type { Holding } from "./support/hold-transaction.ts";

/** A killed Lambda leaves no backend working and no lock behind. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.sql.unsafe(`
    create table held (n int);
    insert into held values (1);
    create table slow (n int);
    create function wait_long() returns trigger language plpgsql as $$ begin perform pg_sleep(300); return new; end $$;
    create trigger waiting before insert on slow for each row execute function wait_long();
    create table table_loader_staging.p1_0 (_tl_item bigint, _tl_record bigint, _tl_absent text)`);
});
afterAll(() => database.close());

const script = fileURLToPath(new URL("./support/hold-transaction.ts", import.meta.url));

/** Starts a process that works on the database, kills it in the middle, and answers the number of its backend. */
async function killWhile(what: Holding["what"]): Promise<number> {
  const { host, port, user, password } = database.server;
  const holding: Holding = { host, port, user, password, database: database.name, check: 1, what };
  const child = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.stdin.end(JSON.stringify(holding));
  const said = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk) => resolve(String(chunk)));
    child.once("exit", () => reject(new Error("the process ended by itself")));
  });
  const pid = Number(said);
  await expect.poll(() => activityOf(pid)).toMatchObject([{ state: "active" }]);
  child.kill("SIGKILL");
  await exited;
  return pid;
}

const activityOf = (pid: number) => database.sql`select state, query from pg_stat_activity where pid = ${pid}`;

test.each(["statement", "copy"] as const)("killed in the middle of a %s: backend and locks are gone", async (what) => {
  const pid = await killWhile(what);
  await expect.poll(() => activityOf(pid), { timeout: 10_000 }).toEqual([]);
  expect(await database.sql`select n from held for update nowait`).toHaveLength(1);
});
