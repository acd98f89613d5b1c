import { createHash } from "node:crypto";
import { z } from "zod";
import { type Fault, faultsOf } from "./errors.ts";
import { badBatchId, isBatchId } from "./execution.ts";
import { parseJson } from "./json.ts";
import { parseFragmentKey } from "./keys.ts";

/** Arrivals: EventBridge's "Object Created" events, each in an SQS message, parsed without any call. */

/** An object version that belongs to a batch. */
export type Arrival = {
  readonly kind: "arrival";
  readonly batchId: string;
  /** The key as it was written: EventBridge does not URL-encode it, and decoding would break a "+". */
  readonly key: string;
  readonly versionId: string | null;
  readonly etag: string;
  readonly size: number;
  /** Text by which S3 orders the events of one key. */
  readonly sequencer: string;
};

/** An object that is none of the loader's: a line in the log is all. */
type IgnoredArrival = { readonly kind: "ignored"; readonly reason: Fault };
/** A message that should never have come: it is kept in the dead-letter queue for a person. */
type RefusedArrival = { readonly kind: "refused"; readonly reason: Fault };

export type ArrivalSettings = {
  readonly bucket: string;
  readonly batchIdPattern: RegExp;
  /** The account that owns the bucket. @default not checked */
  readonly account?: string | null;
};

/** The queue of messages that cannot be used. */
export interface DeadLetters {
  send(body: string, reason: Fault): Promise<void>;
}

/** Unknown members are ignored, since AWS adds some from time to time. */
const objectCreated = z.object({
  source: z.literal("aws.s3"),
  "detail-type": z.literal("Object Created"),
  account: z.string(),
  detail: z.object({
    bucket: z.object({ name: z.string() }),
    object: z.object({
      key: z.string().min(1),
      size: z.number().int().min(0).default(0),
      etag: z.string().default(""),
      "version-id": z.string().optional(),
      sequencer: z.string().default(""),
    }),
  }),
});

export function parseArrival(
  messageBody: string,
  settings: ArrivalSettings,
): Arrival | IgnoredArrival | RefusedArrival {
  const event = objectCreated.safeParse(parseJson(messageBody));
  if (!event.success) return refused("EVT_MALFORMED", `message: ${faultsOf(event.error)}; expected an S3 event`);
  const { account, detail } = event.data;
  const { bucket, account: owner = null } = settings;
  if (detail.bucket.name !== bucket || (owner !== null && account !== owner)) {
    const got = `bucket ${shown(detail.bucket.name)} of account ${shown(account)}`;
    return refused("EVT_FOREIGN_BUCKET", `${got}: expected bucket ${bucket}${owner === null ? "" : ` of ${owner}`}`);
  }
  const { key, size, etag, sequencer, "version-id": versionId = null } = detail.object;
  const fragment = parseFragmentKey(key);
  if (fragment === null) return ignored("EVT_IGNORED_KEY", `key ${shown(key)}: expected a fragment or its marker`);
  const { batchId } = fragment;
  if (!isBatchId(batchId, settings.batchIdPattern)) {
    return { kind: "ignored", reason: badBatchId(batchId, settings.batchIdPattern) };
  }
  return { kind: "arrival", batchId, key, versionId, etag: etag.replaceAll('"', ""), size, sequencer };
}

const ignored = (code: string, message: string): IgnoredArrival => ({ kind: "ignored", reason: { code, message } });
const refused = (code: string, message: string): RefusedArrival => ({ kind: "refused", reason: { code, message } });

const longestShown = 200;
const shown = (text: string): string => JSON.stringify(text.slice(0, longestShown));

/** Characters of a name: Step Functions takes 80, and a few are left for a suffix. */
const longestName = 76;
const hashDigits = 24;

/**
 * One name for the same arrivals in any order and number, so that a redelivery finds the execution that it started. It
 * is only a cheap filter: claim and commit make sure that a batch loads once.
 */
export function executionNameOf(batchId: string, arrivals: readonly Arrival[]): string {
  const seen = arrivals.map(({ key, sequencer, versionId, etag }) =>
    JSON.stringify([key, sequencer || versionId || etag]),
  );
  const text = JSON.stringify([batchId, ...[...new Set(seen)].sort()]);
  const hash = createHash("sha256").update(text).digest("hex").slice(0, hashDigits);
  const head = batchId.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, longestName - hashDigits - 1);
  return `${head}-${hash}`;
}
