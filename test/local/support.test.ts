import { afterAll, beforeAll, expect, test } from "vitest";
import type { FunctionName, LambdaFunction } from "../../lib/local/lambda.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { type Flow, openFlow } from "../support/flow.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

test("a test database has the control tables and the sample's, of the version that was asked for", async () => {
  const [row] = await database.sql`
    select current_setting('server_version_num')::int / 10000 as version, current_user::text as who,
      to_regclass('public.validation_queue') is not null as queue, to_regclass('public.subject') is not null as subject`;
  expect(row).toEqual({ version: database.server.majorVersion, who: "idhub_user", queue: true, subject: true });
});

test("test databases know nothing of each other", async () => {
  const other = await openTestDatabase();
  await other.sql`create table only_here ()`;
  const [row] = await database.sql`select to_regclass('public.only_here') as found`;
  expect(row).toEqual({ found: null });
  await other.close();
});

/** start-load and ValidateBatch as dummies: this is a test of the support, not of the loader. */
async function load(name: FunctionName): Promise<LambdaFunction> {
  const handler = async (event: unknown): Promise<unknown> => {
    if (name === "start-load") {
      flow.machine.start("arrived", JSON.stringify({ batchId: "b" }));
      return { batchItemFailures: [] };
    }
    const { input } = event as { input: { batchId: string } };
    return { next: input.batchId === "bad" ? "refused" : "wait", code: "REFUSED", message: "no" };
  };
  return { name, handler };
}

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow({ load });
});
afterAll(() => flow.close());

test("a flow runs the synthesized machine and tells how it ended", async () => {
  expect(await flow.run({ batchId: "b" })).toMatchObject({ status: "SUCCEEDED", output: { next: "wait" } });
  expect(await flow.run({ batchId: "bad" })).toMatchObject({ status: "FAILED", error: "REFUSED", cause: "no" });
  expect(flow.steps.map(({ state }) => state)).toContain("ValidateBatch");
});

test("a flow hands arrivals to start-load and waits for what it starts", async () => {
  await flow.put("staging/validated/b/blood.json", { records: [] });
  const { received, failed, runs } = await flow.arrivals();
  expect({ received, failed, statuses: runs.map(({ status }) => status) }).toEqual({
    received: 1,
    failed: 0,
    statuses: ["SUCCEEDED"],
  });
  expect(flow.objects("staging/")).toEqual(["staging/validated/b/blood.json"]);
  expect(await flow.json("staging/validated/b/blood.json")).toEqual({ records: [] });
  expect(await flow.json("config/tables.json")).toBeTruthy();
});

test("a flow writes and approves rows of the queue", async () => {
  await flow.queueRow({ batchId: "b", table: "blood", totalRecords: 3 });
  const approved = () => flow.sql`select approved_for_load as approved, approved_by as by from validation_queue`;
  expect([...(await approved())]).toEqual([{ approved: false, by: null }]);
  await flow.approve("b", "ana");
  expect([...(await approved())]).toEqual([{ approved: true, by: "ana" }]);
});
