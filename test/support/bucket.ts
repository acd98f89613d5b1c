import { type LocalBucket, openBucket } from "../../lib/local/bucket.ts";
import type { ObjectCreatedEvent } from "../../lib/local/object-event.ts";

export type TestBucket = LocalBucket & {
  /** What EventBridge would have been told so far. */
  readonly events: readonly ObjectCreatedEvent[];
  /** The settings that point the loader at it. */
  readonly variables: Readonly<Record<string, string>>;
  text(key: string): Promise<string | null>;
  json(key: string): Promise<unknown>;
};

/** A bucket in memory, with the intake queue and its dead letters. */
export async function openTestBucket(onArrival?: (event: ObjectCreatedEvent) => void): Promise<TestBucket> {
  const events: ObjectCreatedEvent[] = [];
  const bucket = await openBucket({
    storageDir: null,
    bucket: "idhub-curated-fragments",
    onArrival: (event) => {
      events.push(event);
      onArrival?.(event);
    },
  });
  const text = async (key: string): Promise<string | null> => {
    const bytes = await bucket.get(key);
    return bytes === null ? null : new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  };
  const variables = {
    S3_BUCKET: bucket.name,
    S3_VERSIONING: "disabled",
    AWS_REGION: bucket.region,
    LOCAL_ENDPOINT: bucket.endpoint,
    ARRIVALS_QUEUE_URL: bucket.arrivals.url,
    DEAD_LETTER_QUEUE_URL: bucket.deadLetters.url,
  };
  return { ...bucket, events, variables, text, json: async (key) => JSON.parse((await text(key)) ?? "null") };
}
