import { PermanentError, TransientError } from "../core/errors.ts";
import type { ObjectStore } from "../core/objects.ts";

/** What a report says, and where. */
export type Report = { readonly key: string; readonly content: unknown };

/**
 * Writes a report that others may write, too, so that the one who holds the batch has the last word: whoever lost the
 * fence after it was proved finds that the object has changed since.
 *
 * @param prove throws StaleFence where somebody else acts by now
 * @throws TransientError REPORT_CONTESTED where somebody wrote it meanwhile
 */
export async function writeReport(
  store: Pick<ObjectStore, "readText" | "write">,
  { key, content }: Report,
  prove: () => Promise<unknown>,
): Promise<void> {
  const before = await store.readText(key);
  await prove();
  try {
    await store.write(key, JSON.stringify(content, null, 2), before?.etag ?? null);
  } catch (error) {
    if (!(error instanceof PermanentError && error.code === "S3_CHANGED")) throw error;
    const text = `${key}: somebody else wrote it meanwhile; the step starts again and finds out who holds the batch`;
    throw new TransientError("REPORT_CONTESTED", text, { cause: error });
  }
}
