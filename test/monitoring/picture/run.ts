import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { forceMetrics } from "../../../lib/aws/measures.ts";
import { contractsKey, stagingPrefixOf } from "../../../lib/core/keys.ts";
import { type LocalEnvironment, openLocalEnvironment } from "../../../lib/local/environment.ts";
import { loadFunction } from "../../../lib/local/lambda.ts";
import { onCrashPoint } from "../../../lib/wiring.ts";
import { bloods, specimens, subjects } from "../../support/records.ts";
import { type Point, parsePoints } from "../emf.ts";
import type { MetricId } from "../template.ts";

/** A run of the whole loader on this machine, some minutes long, and what it measured. */

export type Run = {
  readonly points: readonly Point[];
  readonly counted: readonly Counted[];
  readonly start: number;
  readonly end: number;
};

/** What a service of AWS would count; `queue` as its logical id begins. */
export type Counted = { readonly name: string; readonly queue?: string; readonly value: number; readonly at: number };

/** All functions share one process here. */
const megabytes = 1024;
const sweepSeconds = 5;
const secondsBetweenBatches = 2.5;

/** New rows, the same again, changed ones; every ninth batch is broken. */
function fragmentsOf(number: number): Readonly<Record<string, object[]>> {
  const prefix = `P${Math.floor(number / 3)}`;
  const count = 300 + ((Math.floor(number / 3) * 397) % 1500);
  const tables = { subject: subjects(prefix, count), blood: bloods(prefix, count), specimen: specimens(prefix, count) };
  if (number % 9 === 7) return { ...tables, blood: bloods(`${prefix}X`, count, { volume_ml: "12,5" }) };
  const changed = { source_updated_at: "2025-01-01T00:00:00Z", center_code: "NEW" };
  if (number % 3 === 2) return { ...tables, subject: subjects(prefix, Math.ceil(count / 2), changed) };
  return tables;
}

export async function runForPicture(batches: number): Promise<Run> {
  const written = takeOutput();
  const environment = await openLocalEnvironment({ directory: null, logLevel: "SILENT", sweepSeconds, load: asLambda });
  const sql = postgres(environment.databaseUrl, { max: 1, onnotice: () => undefined });
  const counted: Counted[] = [];
  try {
    forceMetrics(true);
    const start = Date.now();
    const watch = setInterval(() => void countQueues(environment, counted), 1000);
    for (let number = 0; number < batches; number += 1) {
      await stir(environment, number / batches);
      await deliver({ environment, sql }, number);
      await pause(secondsBetweenBatches * 1000);
    }
    await pause(2 * sweepSeconds * 1000);
    clearInterval(watch);
    countExecutions(environment, counted);
    return { points: parsePoints(written.text()), counted, start, end: Date.now() };
  } finally {
    written.restore();
    await sql.end({ timeout: 1 });
    await environment.close();
  }
}

/** As points of the metrics that the dashboard names. */
export function asPoints(counted: readonly Counted[], metrics: readonly MetricId[]): Point[] {
  return metrics.flatMap((metric) => {
    const queue = metric.dimensions["QueueName"];
    const own = counted.filter(({ name, queue: id = "" }) => name === metric.name && (queue ?? "").startsWith(id));
    return own.map(({ value, at }) => ({ ...metric, unit: "Count", value, at }));
  });
}

const asLambda: typeof loadFunction = async (name) => {
  const loaded = await loadFunction(name);
  return {
    ...loaded,
    handler: (event, context) => loaded.handler(event, { ...context, memoryLimitInMB: String(megabytes) }),
  };
};

function takeOutput() {
  let text = "";
  const write = process.stdout.write;
  process.stdout.write = ((chunk: unknown) => {
    text += String(chunk);
    return true;
  }) as typeof write;
  const restore = (): void => {
    process.stdout.write = write;
  };
  return { text: () => text, restore };
}

type World = { readonly environment: LocalEnvironment; readonly sql: postgres.Sql };

async function deliver({ environment, sql }: World, number: number): Promise<void> {
  const batchId = `batch_20260101_${String(number).padStart(6, "0")}`;
  const fragments = fragmentsOf(number);
  const tables = Object.keys(fragments);
  const approved = number % 12 !== 9;
  await sql`
    insert into validation_queue
      (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
    select ${batchId}, t.table_name, 'validated', ${approved}, ${approved ? "validator" : null},
           case when ${approved} then clock_timestamp() end
    from unnest(${tables}::text[]) as t(table_name)`;
  for (const [table, records] of Object.entries(fragments)) {
    await environment.bucket.put(`${stagingPrefixOf(batchId)}${table}.json`, JSON.stringify(records));
  }
}

let valid = "";

/** In the middle of it, S3 denies access for a while, and contracts are deployed that cannot be used. */
async function stir({ bucket }: LocalEnvironment, progress: number): Promise<void> {
  const isDenied = progress > 0.4 && progress < 0.5;
  const denied = Object.assign(new Error("denied"), { name: "AccessDenied", $metadata: { httpStatusCode: 403 } });
  onCrashPoint((point) => {
    if (isDenied && point === "before-commit") throw denied;
  });
  const isInvalid = progress > 0.65 && progress < 0.75;
  valid ||= (await textOf(bucket)) ?? "";
  const wanted = isInvalid ? "{ this is not JSON" : valid;
  if ((await textOf(bucket)) !== wanted) await bucket.put(contractsKey, wanted);
}

async function textOf(bucket: LocalEnvironment["bucket"]): Promise<string | null> {
  const bytes = await bucket.get(contractsKey);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** What SQS would count. */
async function countQueues({ bucket }: LocalEnvironment, counted: Counted[]): Promise<void> {
  const at = Date.now();
  const queues = { IntakeArrivals: bucket.arrivals.url, IntakeDeadLetters: bucket.deadLetters.url };
  for (const [queue, QueueUrl] of Object.entries(queues)) {
    const asked = await bucket.sqs("GetQueueAttributes", { QueueUrl, AttributeNames: ["ApproximateNumberOfMessages"] });
    const { Attributes } = asked as { Attributes: Record<string, string> };
    const value = Number(Attributes["ApproximateNumberOfMessages"]);
    counted.push({ name: "ApproximateNumberOfMessagesVisible", queue, value, at });
  }
}

/** What Step Functions would count. */
function countExecutions({ machine }: LocalEnvironment, counted: Counted[]): void {
  const names: Readonly<Record<string, string>> = { SUCCEEDED: "ExecutionsSucceeded", FAILED: "ExecutionsFailed" };
  for (const { status, startDate, stopDate } of machine.list()) {
    counted.push({ name: "ExecutionsStarted", value: 1, at: startDate.getTime() });
    const name = names[status];
    if (name && stopDate) counted.push({ name, value: 1, at: stopDate.getTime() });
  }
}
