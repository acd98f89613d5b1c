import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { forceMetrics } from "../../../lib/aws/measures.ts";
import { contractsKey, stagingPrefixOf } from "../../../lib/core/keys.ts";
import { type LocalEnvironment, openLocalEnvironment } from "../../../lib/local/environment.ts";
import { loadFunction } from "../../../lib/local/functions.ts";
import { brokenBatch } from "../../../lib/local/sample/broken-batch.ts";
import { sampleBatch } from "../../../lib/local/sample/sample-batch.ts";
import { secondBatch } from "../../../lib/local/sample/second-batch.ts";
import { defaultSampleSize, type SampleFragment } from "../../../lib/local/sample/types.ts";
import { onCrashPoint } from "../../../lib/wiring.ts";
import { type Point, parsePoints } from "../emf.ts";
import type { MetricId } from "../template.ts";

/** A run of the whole loader on this machine, some minutes long, and what it measured. */

export type Run = { readonly points: readonly Point[]; readonly start: number; readonly end: number };

const sweepSeconds = 5;
const secondsBetweenBatches = 2;
const size = { ...defaultSampleSize, now: new Date("2026-01-01T12:00:00Z") };

/** Batches of every kind; that of every seventh is broken, one waits for its approval. */
function fragmentsOf(number: number): readonly SampleFragment[] {
  const subjects = 100 + ((number * 137) % 400);
  const options = { ...size, seed: 1 + Math.floor(number / 3), subjects, samplesPerTable: subjects };
  if (number % 7 === 6) return brokenBatch(options).fragments;
  return number % 3 === 2 ? secondBatch(options).fragments : sampleBatch(options);
}

export async function runForPicture(batches: number, foreign: readonly MetricId[]): Promise<Run> {
  const written = takeOutput();
  const environment = await openLocalEnvironment({ directory: null, logLevel: "SILENT", sweepSeconds, load: in512Mb });
  const sql = postgres(environment.databaseUrl, { max: 1, onnotice: () => undefined });
  const counted: Point[] = [];
  try {
    forceMetrics(true);
    const start = Date.now();
    const watch = setInterval(() => void countQueues(environment, foreign, counted), 1000);
    for (let number = 0; number < batches; number += 1) {
      await stir(environment, number / batches);
      await deliver({ environment, sql }, number);
      await pause(secondsBetweenBatches * 1000);
    }
    await pause(2 * sweepSeconds * 1000);
    clearInterval(watch);
    countExecutions(environment, foreign, counted);
    return { points: [...parsePoints(written.text()), ...counted], start, end: Date.now() };
  } finally {
    written.restore();
    await sql.end({ timeout: 1 });
    await environment.close();
  }
}

const in512Mb: typeof loadFunction = async (name) => {
  const loaded = await loadFunction(name);
  return { ...loaded, handler: (event, context) => loaded.handler(event, { ...context, memoryLimitInMB: "512" }) };
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
  const tables = [...new Set(fragments.map(({ table }) => table))];
  const approved = number % 9 !== 4;
  await sql`
    insert into validation_queue
      (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
    select ${batchId}, t.table_name, 'validated', ${approved}, ${approved ? "validator" : null},
           case when ${approved} then clock_timestamp() end
    from unnest(${tables}::text[]) as t(table_name)`;
  for (const { fileName, body } of fragments) {
    const bytes = typeof body === "string" ? body : new Uint8Array(body);
    await environment.bucket.put(`${stagingPrefixOf(batchId)}${fileName}`, bytes);
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
async function countQueues(
  { bucket }: LocalEnvironment,
  foreign: readonly MetricId[],
  counted: Point[],
): Promise<void> {
  const at = Date.now();
  const messages = async (QueueUrl: string): Promise<number> => {
    const asked = await bucket.sqs("GetQueueAttributes", { QueueUrl, AttributeNames: ["ApproximateNumberOfMessages"] });
    const { Attributes } = asked as { Attributes: Record<string, string> };
    return Number(Attributes["ApproximateNumberOfMessages"]);
  };
  for (const metric of foreign.filter(({ name }) => name === "ApproximateNumberOfMessagesVisible")) {
    const queue = metric.dimensions["QueueName"] ?? "";
    const url = queue.startsWith("IntakeDeadLetters") ? bucket.deadLetters.url : bucket.intake.url;
    const value = queue.startsWith("IntakeUndelivered") ? 0 : await messages(url);
    counted.push({ ...metric, unit: "Count", value, at });
  }
}

/** What Step Functions would count. */
function countExecutions({ machine }: LocalEnvironment, foreign: readonly MetricId[], counted: Point[]): void {
  const names: Readonly<Record<string, string>> = { SUCCEEDED: "ExecutionsSucceeded", FAILED: "ExecutionsFailed" };
  const count = (name: string | undefined, at: Date | null): void => {
    const metric = foreign.find((one) => one.name === name);
    if (metric && at) counted.push({ ...metric, unit: "Count", value: 1, at: at.getTime() });
  };
  for (const { status, startDate, stopDate } of machine.list()) {
    count("ExecutionsStarted", startDate);
    count(names[status], stopDate);
  }
}
