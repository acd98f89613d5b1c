import { randomUUID } from "node:crypto";
import type { Upload } from "./fauxqs-app.ts";

/** The event that EventBridge delivers for an object in an unversioned bucket. */
export type ObjectCreatedEvent = {
  readonly version: "0";
  readonly id: string;
  readonly "detail-type": "Object Created";
  readonly source: "aws.s3";
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: {
    readonly version: "0";
    readonly bucket: { readonly name: string };
    /** The key is raw; S3's own notifications encode it for URLs. */
    readonly object: { readonly key: string; readonly size: number; readonly etag: string; readonly sequencer: string };
    readonly "request-id": string;
    readonly requester: string;
    readonly "source-ip-address": string;
    readonly reason: Upload["reason"];
  };
};

export const localAccount = "000000000000";

type Place = { readonly bucket: string; readonly region: string };

export function toObjectCreatedEvent(upload: Upload, { bucket, region }: Place): ObjectCreatedEvent {
  const { key, size, etag, reason } = upload;
  return {
    version: "0",
    id: randomUUID(),
    "detail-type": "Object Created",
    source: "aws.s3",
    account: localAccount,
    time: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    region,
    resources: [`arn:aws:s3:::${bucket}`],
    detail: {
      version: "0",
      bucket: { name: bucket },
      object: { key, size, etag: etag.replaceAll('"', ""), sequencer: nextSequencer() },
      "request-id": randomUUID().replaceAll("-", "").toUpperCase().slice(0, 16),
      requester: localAccount,
      "source-ip-address": "127.0.0.1",
      reason,
    },
  };
}

let last = 0n;

/** Grows with every event, across restarts too: milliseconds in the upper bits, a count in the lower 16. */
function nextSequencer(): string {
  const now = BigInt(Date.now()) << 16n;
  last = now > last ? now : last + 1n;
  return last.toString(16).toUpperCase().padStart(18, "0");
}
