import { toFragments } from "./fragments.ts";
import { sampleRecords } from "./sample-records.ts";
import type { SampleFragment, SampleOptions } from "./types.ts";

/** A batch for all ten tables, every record of which is inserted into empty tables. */
export function sampleBatch(options: SampleOptions): SampleFragment[] {
  return toFragments(sampleRecords(options), options.now);
}
