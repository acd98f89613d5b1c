import { afterAll, beforeAll, expect, test } from "vitest";
import { migrate } from "../../lib/ledger/migrate.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

test("a version that knows fewer migrations leaves a newer database as it is", async () => {
  const { sql } = database;
  // What a later version would have left behind.
  await sql`insert into table_loader.migrations (version, name, md5, run_at) values (999, 'later', 'none', now())`;
  await sql`alter table table_loader.batches add column later text`;
  const before = await sql`select version, md5 from table_loader.migrations order by version`;
  expect(await migrate(sql)).toEqual([]);
  expect(await sql`select version, md5 from table_loader.migrations order by version`).toEqual(before);
  expect(await sql`select later from table_loader.batches`).toEqual([]);
});
