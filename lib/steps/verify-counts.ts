import { createHash } from "node:crypto";
import { listNames } from "../core/decide.ts";
import { type Fault, PermanentError } from "../core/errors.ts";
import { largestFragment, type ObjectStore } from "../core/objects.ts";
import type { Plan } from "../core/plan.ts";
import type { WorkItem } from "../core/work-item.ts";

/**
 * Compares what was read with what the queue and the manifests declare, table by table and part by part.
 *
 * @throws PermanentError COUNT_MISMATCH
 */
export function verifyCounts({ body }: Plan, items: readonly WorkItem[]): void {
  const fragments = items.filter(({ kind }) => kind === "fragment");
  const declared = new Map(body.parts.map((part) => [part.key, part.records]));
  const parts = fragments.flatMap(({ stagedKey, records }) => {
    const expected = declared.get(stagedKey);
    return expected === undefined || expected === records
      ? []
      : [`${stagedKey}: declared ${expected}, read ${records}`];
  });
  const tables = Object.entries(body.totals).flatMap(([table, expected]) => {
    const ofTable = fragments.filter((item) => item.table === table);
    const read = ofTable.reduce((sum, { records }) => sum + records, 0);
    return ofTable.length === 0 || read === expected ? [] : [`table ${table}: declared ${expected}, read ${read}`];
  });
  const differences = [...tables, ...parts];
  if (differences.length === 0) return;
  throw new PermanentError("COUNT_MISMATCH", `records differ: ${listNames(differences)}; deliver what was validated`);
}

type BatchSize = { readonly batchId: string; readonly records: number; readonly limit: number | null };

/** A batch with more records than one may have; null where it may be loaded. */
export function refuseLargeBatch({ batchId, records, limit }: BatchSize): Fault | null {
  if (limit === null || records <= limit) return null;
  const message = `batch ${batchId} has ${records} records, MAX_RECORDS_PER_BATCH allows ${limit}; deliver it in smaller batches`;
  return { code: "BATCH_TOO_LARGE", message };
}

/**
 * Reads the object once more to compare its bytes with the checksum that a manifest declares, where one does. One that
 * is too large is left to its reader, which refuses it unread.
 *
 * @throws PermanentError S3_CHECKSUM
 */
export async function verifyChecksum(
  store: ObjectStore,
  { body }: Plan,
  { object, stagedKey }: WorkItem,
): Promise<void> {
  const expected = body.parts.find(({ key }) => key === stagedKey)?.sha256?.toLowerCase();
  if (expected === undefined || object.size > largestFragment) return;
  const hash = createHash("sha256");
  const { bytes } = await store.read(object);
  for await (const chunk of bytes) hash.update(chunk);
  const got = hash.digest("hex");
  if (got === expected) return;
  throw new PermanentError(
    "S3_CHECKSUM",
    `${object.key}: _manifest.json declares sha256 ${expected}, got ${got}; deliver it again`,
  );
}
