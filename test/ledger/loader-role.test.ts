import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { grantLoader } from "../../lib/ledger/loader-role.ts";
import { experimentParents } from "../../lib/local/sample/experiment.ts";
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
  await grantLoader(admin, { role, schema: "public" });
  await admin.unsafe(`alter role ${role} password '${password}'`);
  loader = postgres({ host, port, user: role, password, database: flow.database.name, max: 1, onnotice: () => {} });
});

afterAll(async () => {
  await loader.end();
  await admin.unsafe(`drop owned by ${role}; drop role ${role}`);
  await admin.end();
  await flow.close();
});

test("the role that migrate makes can load, and granting it twice changes nothing", async () => {
  await grantLoader(admin, { role, schema: "public" });
  const batchId = "batch_20260101_120000";
  const { fileName, body } = experimentParents(5);
  await flow.put(`staging/validated/${batchId}/${fileName}`, body);
  await flow.queueRow({ batchId, table: "subject", approved: true });
  const { status, cause } = await flow.run({ batchId });
  expect({ status, cause }).toMatchObject({ status: "SUCCEEDED" });
  expect(await flow.sql`select count(*)::int as rows from subject`).toMatchObject([{ rows: 5 }]);
});

test("it may not change the shape of a target, nor make a table beside it", async () => {
  for (const ddl of [
    "drop table subject",
    "alter table subject add column x int",
    "create table public.mine (x int)",
  ]) {
    await expect(loader.unsafe(ddl)).rejects.toMatchObject({ code: "42501" });
  }
});
