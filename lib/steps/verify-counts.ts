import { createHash } from "node:crypto";
import { listNames } from "../core/decide.ts";
import { type Fault, PermanentError } from "../core/errors.ts";
import { largestFragment, type ObjectStore } from "../core/objects.ts";
import type { Plan } from "../core/plan.ts";
import type { WorkItem } from "../core/work-item.ts";

/**
 * Compares the records that were read with those that queue and manifests declare, table by table and part by part.
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

/** The fault of a batch with more records than the limit; null if it may be loaded. */
export function refuseLargeBatch(batchId: string, records: number, limit: number | null): Fault | null {
  if (limit === null || records <= limit) return null;
  const message = `batch ${batchId} has ${records} records, MAX_RECORDS_PER_BATCH allows ${limit}; deliver it in smaller batches`;
  return { code: "BATCH_TOO_LARGE", message };
}

/**
 * Reads the object once more if a manifest declares its checksum, and compares. An object that is too large is left to
 * its reader, which refuses it unread.
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
