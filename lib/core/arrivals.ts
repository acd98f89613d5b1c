import { createHash } from "node:crypto";
import { z } from "zod";
import type { Fault } from "./errors.ts";
import { badBatchId, isBatchId } from "./execution.ts";
import { parseFragmentKey } from "./keys.ts";

/** What arrives: EventBridge's "Object Created" events, each in an SQS message. Decided as data, without a call. */

/** An object version that belongs to a batch. */
export type Arrival = {
  readonly kind: "arrival";
  readonly batchId: string;
  /** As it was written: EventBridge does not URL-encode it, so that decoding would break a "+". */
  readonly key: string;
  readonly versionId: string | null;
  readonly etag: string;
  readonly size: number;
  /** Orders the events of one key. */
  readonly sequencer: string;
};

/** Nothing of ours: done, with a line in the log. */
type IgnoredArrival = { readonly kind: "ignored"; readonly reason: Fault };
/** It should never have come: kept in the dead-letter queue for a human. */
type RefusedArrival = { readonly kind: "refused"; readonly reason: Fault };

export type ArrivalSettings = {
  readonly bucket: string;
  readonly batchIdPattern: RegExp;
  /** The account that owns the bucket. @default not checked */
  readonly account?: string | null;
};

/** Messages that nobody can use. */
export interface DeadLetters {
  send(body: string, reason: Fault): Promise<void>;
}

/** AWS adds members as it likes, so unknown ones are passed over. */
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

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Where it is wrong, not what was there: a stranger's message may hold anything. */
function faultsOf(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => [path.join("."), message].filter(Boolean).join(": ")).join("; ");
}

const ignored = (code: string, message: string): IgnoredArrival => ({ kind: "ignored", reason: { code, message } });
const refused = (code: string, message: string): RefusedArrival => ({ kind: "refused", reason: { code, message } });

const longestShown = 200;
const shown = (text: string): string => JSON.stringify(text.slice(0, longestShown));

/** Step Functions takes 80 characters; some are left for a suffix. */
const longestName = 76;
const hashDigits = 24;

/**
 * One name for the same arrivals in any order and number, so that a redelivery finds the execution that it started.
 * Only a cheap filter: that a batch loads once is the claim's and the commit's business.
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
