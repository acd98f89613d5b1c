import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { type LocalBucket, openBucket } from "./bucket.ts";
import { readMachineDefinition, sharedCacheDirectory } from "./machine-definition.ts";
import type { ObjectCreatedEvent } from "./object-event.ts";
import { type LocalPostgres, openPostgres } from "./postgres.ts";

export type PartsOptions = {
  readonly directory: string;
  /** True where objects are kept in the directory, false where they stay in memory. */
  readonly persistent: boolean;
  /** @default free ports */
  readonly ports: { readonly database?: number; readonly bucket?: number };
  readonly onArrival: (event: ObjectCreatedEvent) => void;
};
export type Parts = { readonly database: LocalPostgres; readonly bucket: LocalBucket; readonly definition: unknown };

const bucketName = "idhub-curated-fragments";

/** All at once; where one of them fails, those that opened are left to the stack. */
export async function openParts(options: PartsOptions, stack: AsyncDisposableStack): Promise<Parts> {
  const { directory, persistent, ports, onArrival } = options;
  const log = createWriteStream(join(directory, "postgres.log"), { flags: "a", mode: 0o600 });
  stack.defer(() => void log.end());
  const deferring = <T extends { close(): Promise<void> }>(part: T): T => {
    stack.defer(() => part.close());
    return part;
  };
  const opening = [
    openPostgres({
      dataDir: join(directory, "postgres"),
      port: ports.database ?? 0,
      log: (text) => void log.write(text),
    }).then(deferring),
    openBucket({
      storageDir: persistent ? join(directory, "s3") : null,
      port: ports.bucket ?? 0,
      bucket: bucketName,
      onArrival,
    }).then(deferring),
    readMachineDefinition(persistent ? directory : sharedCacheDirectory),
  ] as const;
  await Promise.allSettled(opening);
  const [database, bucket, definition] = await Promise.all(opening);
  return { database, bucket, definition };
}
