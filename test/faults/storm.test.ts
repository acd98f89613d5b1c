import { afterAll, beforeAll, expect, test } from "vitest";
import { connectionsInUse, functionSizes } from "../../lib/infra/capacity.ts";
import { type LoadFunction, loadFunction } from "../../lib/local/lambda.ts";
import { newBatch, type TestBatch } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { subjects } from "../support/records.ts";

const maxLoads = functionSizes["commit-batch"].connections ?? 0;
const maxWorkers = functionSizes["stage-fragments"].connections ?? 0;
/** Connections of the test itself. */
const testerConnections = 6;
const batchCount = 100;

/** Lambda's answer to more invocations at a time than the function may have. */
class TooManyRequests extends Error {
  override readonly name = "Lambda.TooManyRequestsException";
}

/** The handlers with the reserved concurrency of the deployment: further calls are refused, as by Lambda. */
function loadWithReservedConcurrency(): LoadFunction {
  return async (name) => {
    const lambda = await loadFunction(name);
    const most = functionSizes[name].connections ?? Number.POSITIVE_INFINITY;
    let running = 0;
    return {
      ...lambda,
      handler: async (event, context) => {
        if (running >= most) throw new TooManyRequests(`${name}: rate exceeded`);
        running += 1;
        try {
          return await lambda.handler(event, context);
        } finally {
          running -= 1;
        }
      },
    };
  };
}

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow({
    load: loadWithReservedConcurrency(),
    // thirty tries, as deployed, that take ten minutes there and some twenty seconds here
    pauses: { retryMilliseconds: 700 },
    variables: { MAX_LOADS: String(maxLoads), MAX_WORKERS: String(maxWorkers), DB_POOL_MIN: "1", DB_POOL_MAX: "1" },
  });
  // One connection more than the deployment may take, and the server refuses it.
  const limit = connectionsInUse() + testerConnections;
  await flow.sql.unsafe(`alter database ${flow.database.name} connection limit ${limit}`);
});
afterAll(() => flow.close());

/** Approved one second after the other, in an order that has nothing to do with their names. */
async function stageInOrder(position: number): Promise<TestBatch> {
  const batch = newBatch(flow);
  await flow.sql`
    insert into validation_queue (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
    values (${batch.id}, 'subject', 'validated', true, 'tester',
            timestamptz '2026-01-01' + make_interval(secs => ${position}))`;
  return batch;
}

const shuffled = Array.from({ length: batchCount }, (_, index) => (index * 37) % batchCount);

test("C11 100 batches at once: within the connections of the deployment, all load, in the order of their approval", async () => {
  const batches = await Promise.all(shuffled.map(stageInOrder));
  for (const batch of batches) await batch.drop("subject.json", subjects(batch.prefix, 5));
  // How soon a hundred executions get in line is the machine's affair: until they all are, another load has every place.
  await flow.sql`
    insert into table_loader.line (batch_id, owner, approved_at, admitted, workers, expires_at)
    values ('another', 'another', now(), true, ${maxWorkers}, now() + interval '1 hour')`;
  const loaded = flow.arrivals();
  const inLine = async () => (await flow.sql`select from table_loader.line where not admitted`).length;
  await expect.poll(inLine, { timeout: 90_000 }).toBe(batchCount);
  await flow.sql`delete from table_loader.line where batch_id = 'another'`;
  const { runs, ...delivery } = await loaded;
  expect(delivery).toEqual({ received: batchCount, failed: 0 });
  expect(runs.map(({ status }) => status)).toEqual(Array(batchCount).fill("SUCCEEDED"));
  const errors = new Set(flow.steps.flatMap(({ error }) => error ?? []));
  errors.delete("Lambda.TooManyRequestsException");
  expect([...errors]).toEqual([]);
  expect(flow.steps.filter(({ state }) => state === "BlockedWait")).toEqual([]);
  const started = await flow.sql<{ place: number }[]>`
    select (rank() over (order by q.approved_at))::integer as place
    from table_loader.attempts a join validation_queue q using (batch_id)
    where a.state = 'loaded' order by a.started_at`;
  expect(started).toHaveLength(batchCount);
  const overtaken = started.map(
    ({ place }, index) => started.slice(0, index).filter((other) => other.place > place).length,
  );
  expect(Math.max(...overtaken)).toBeLessThanOrEqual(maxWorkers);
  await expectInvariants(flow);
});
