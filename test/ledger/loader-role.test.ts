import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { grantLoader } from "../../lib/ledger/loader-role.ts";
import { experimentParents } from "../../lib/local/sample/sample-records.ts";
import { type Flow, openFlow } from "../support/flow.ts";

const role = `loader_${randomBytes(4).toString("hex")}`;
const password = randomBytes(12).toString("hex");
let flow: Flow;
let admin: postgres.Sql;
let loader: postgres.Sql;

beforeAll(async () => {
  flow = await openFlow({ variables: { DB_USER: role, DB_PASSWORD: password } });
  const { host, port, adminUrl } = flow.database.server;
  admin = postgres(adminUrl, { database: flow.database.name, max: 1, onnotice: () => {} });
  await grantLoader(admin, { role, schema: "public", password });
  loader = postgres({ host, port, user: role, password, database: flow.database.name, max: 1, onnotice: () => {} });
});

afterAll(async () => {
  await loader.end();
  await admin.unsafe(`drop owned by ${role}; drop role ${role}`);
  await admin.end();
  await flow.close();
});

test("the role that migrate makes can load, and granting it twice changes nothing", async () => {
  await grantLoader(admin, { role, schema: "public", password });
  const batchId = "batch_20260101_120000";
  const { fileName, body } = experimentParents(5);
  await flow.put(`staging/validated/${batchId}/${fileName}`, body);
  await flow.queueRow({ batchId, table: "subject", approved: true });
  const { status, cause } = await flow.run({ batchId });
  expect({ status, cause }).toMatchObject({ status: "SUCCEEDED" });
  expect(await flow.sql`select count(*)::int as rows from subject`).toMatchObject([{ rows: 5 }]);
});

test.each([
  "drop table subject",
  "truncate subject",
  "alter table subject add column x int",
  "alter table subject disable trigger all",
  "alter table validation_queue add column x int",
  "create index on subject (center_code)",
  "create trigger t before insert on subject for each row execute function suppress_redundant_updates_trigger()",
  "create policy p on subject",
  "create table public.mine (x int)",
  "create table table_loader.mine (x int)",
  "drop table table_loader.commits",
  "create view public.mine as select 1 as x",
  "create function public.mine() returns int language sql as 'select 1'",
  "create schema mine",
  "drop schema table_loader cascade",
  "create extension pg_stat_statements",
  "create role mine",
  "alter system set fsync = off",
  "alter database postgres set work_mem = '1MB'",
  "set role postgres",
  "set log_error_verbosity = default",
  "select * from pg_authid",
  "copy (select 1) to program 'true'",
  "copy subject to '/tmp/subject'",
  "select pg_read_file('PG_VERSION')",
])("X09: it may not: %s", async (statement) => {
  await expect(loader.unsafe(statement)).rejects.toMatchObject({ code: "42501" });
});
