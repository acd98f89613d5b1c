import { BlockedError, type Fault, PermanentError, TransientError } from "../core/errors.ts";
import type { ObjectStore } from "../core/objects.ts";
import { cutRaw, type Reject } from "../core/rejects.ts";
import type { Run } from "../core/run.ts";
import type { WorkItem } from "../core/work-item.ts";
import type { ReadRecords } from "./stage-fragments.ts";

/** The reports of a batch: its `error_log.json`, and how a report is written that another execution may write, too. */

/** Says why a batch failed, fragment by fragment and record by record. It holds record values. */
export type ErrorLog = {
  readonly batch_id: string;
  readonly epoch: number;
  readonly attempt: number;
  readonly error: Fault;
  readonly fragments: readonly (Fault & {
    readonly key: string;
    readonly version_id: string | null;
    readonly table: string;
  })[];
  readonly rejected_records: readonly {
    readonly table: string;
    readonly key: string;
    readonly version_id: string | null;
    readonly record: number;
    readonly field: string | null;
    readonly code: string;
    readonly got: string | null;
    readonly expected: string;
    readonly constraint: string | null;
    readonly original: string | null;
  }[];
};

export function toErrorLog(run: Run, fault: Fault, items: readonly WorkItem[], rejects: readonly Reject[]): ErrorLog {
  const fragments = items.filter(({ kind }) => kind === "fragment");
  const versions = new Map(fragments.map(({ object }) => [object.key, object.versionId]));
  return {
    batch_id: run.batchId,
    epoch: run.epoch,
    attempt: run.attempt,
    error: fault,
    fragments: items.flatMap(({ fault: itemFault, object, table }) =>
      itemFault ? [{ key: object.key, version_id: object.versionId, table, ...itemFault }] : [],
    ),
    rejected_records: rejects.map(({ raw, key, ...reject }) => ({
      key,
      version_id: versions.get(key) ?? null,
      ...reject,
      original: raw,
    })),
  };
}

/**
 * Writes a report that another execution may write, too, so that the one that holds the batch has the last word: an
 * execution that lost the fence after it was proved finds that the object has changed since.
 *
 * @param prove throws StaleFence if another execution acts for the batch by now
 * @throws TransientError REPORT_CONTESTED if the report was written meanwhile
 */
export async function writeReport(
  store: Pick<ObjectStore, "readText" | "write">,
  key: string,
  content: unknown,
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

export type RejectTextPorts = {
  readonly store: ObjectStore;
  readonly read: ReadRecords;
  readonly now: () => number;
};

/** Seconds before the deadline in which no fragment is begun: the rejects themselves still have to be stored. */
const reserveSeconds = 60;
/** Decoded bytes of all fragments together: about half a minute. */
const maxBytes = 512 * 1024 * 1024;
/** Characters of all texts together: they go through the ledger in one statement. */
const maxCharacters = 16 * 1024 * 1024;

/**
 * Fills in the missing `raw` texts, as far as time and bytes allow: the judge sees staged rows alone, so that the
 * fragments of its rejects are read once more, each up to the last record that is wanted.
 *
 * @param deadline milliseconds since the epoch
 */
export async function fillRejectTexts(
  ports: RejectTextPorts,
  { items, rejects }: { items: readonly WorkItem[]; rejects: readonly Reject[] },
  deadline: number,
): Promise<Reject[]> {
  const wanted = Map.groupBy(
    rejects.filter(({ raw }) => raw === null),
    ({ key }) => key,
  );
  const found = new Map<string, string>();
  const stopAt = deadline - reserveSeconds * 1000;
  const search: Search = { found, stopAt, bytes: maxBytes, characters: maxCharacters };
  for (const item of items) {
    const records = wanted.get(item.object.key);
    if (records) await findTexts(ports, item, new Set(records.map(({ record }) => record)), search);
  }
  return rejects.map((reject) => ({
    ...reject,
    raw: reject.raw ?? found.get(nameOf(reject.key, reject.record)) ?? null,
  }));
}

/** The texts that were found, and the bytes and characters that are left to spend. */
type Search = { readonly found: Map<string, string>; readonly stopAt: number; bytes: number; characters: number };

const nameOf = (key: string, record: number): string => `${record} ${key}`;

async function findTexts(ports: RejectTextPorts, item: WorkItem, wanted: Set<number>, search: Search): Promise<void> {
  const isSpent = (): boolean => ports.now() >= search.stopAt || search.bytes <= 0 || search.characters <= 0;
  if (isSpent()) return;
  try {
    for await (const group of ports.read(ports.store, item.object, { from: null })) {
      search.bytes -= group.bytes;
      for (const record of group.records) {
        if (!wanted.delete(record.number)) continue;
        const text = cutRaw(group.rawText(record));
        search.characters -= text.length;
        search.found.set(nameOf(item.object.key, record.number), text);
      }
      if (wanted.size === 0 || isSpent()) return;
    }
  } catch (error) {
    // A version that could be read before and cannot be now must not hide why its records were rejected.
    if (!(error instanceof PermanentError || error instanceof BlockedError)) throw error;
  }
}
