import { settings } from "../../config.ts";
import { brokenBatch } from "../sample/broken-batch.ts";
import { sampleBatch } from "../sample/sample-batch.ts";
import { secondBatch } from "../sample/second-batch.ts";
import { defaultSampleSize, type SampleOptions } from "../sample/types.ts";
import type { DemoIo } from "./demo-io.ts";
import { loadFirst } from "./first-batch.ts";
import { loadSecond } from "./second-batch.ts";
import { openStage } from "./stage.ts";
import { loadThird } from "./third-batch.ts";

export type DemoResult = {
  /** The preview's prediction was what the load did, and the broken records were named. */
  readonly agreed: boolean;
  readonly batches: number;
  readonly seconds: number;
};

/** A clock of its own, so that every run shows the same records. */
const options: SampleOptions = { ...defaultSampleSize, now: new Date("2026-01-01T12:00:00Z") };
const smaller = { ...options, seed: 3, subjects: 100, samplesPerTable: 100 };

/** The whole loader in about half a minute: a load, a redelivery, a preview that is kept, and records that are refused. */
export async function runDemo(io: DemoIo): Promise<DemoResult> {
  const start = performance.now();
  io.say("Table Loader: a temporary PostgreSQL, a bucket, a queue and the state machine start on this machine ...");
  const stage = await openStage(io);
  try {
    const { bucket, database } = settings();
    io.say(
      `ready after ${seconds(start)} s: bucket ${bucket}, database ${database.name} at ${database.host}:${database.port}`,
    );
    await loadFirst(stage, io, sampleBatch(options));
    const predicted = await loadSecond(stage, io, secondBatch(options));
    const named = await loadThird(stage, io, brokenBatch(smaller));
    io.say(closingText(seconds(start)));
    return { agreed: predicted && named, batches: 3, seconds: Number(seconds(start)) };
  } finally {
    await stage.close();
  }
}

function seconds(start: number): string {
  return ((performance.now() - start) / 1000).toFixed(1);
}

function closingText(total: string): string {
  return `
Done in ${total} s; everything of it is removed again. Try next:

  npx table-loader local         the same, to stay: with psql, aws and your own files
  npx table-loader local seed    (in another terminal) subjects to refer to, and example files
  npx table-loader --help        all commands`;
}
