import { BlockedError, type Fault, PermanentError, TransientError } from "../core/errors.ts";
import type { ObjectStore } from "../core/objects.ts";
import { cutRaw, type Reject } from "../core/rejects.ts";
import type { Run } from "../core/run.ts";
import type { WorkItem } from "../core/work-item.ts";
import type { ReadRecords } from "./stage-fragments.ts";

/** `error_log.json`: why a batch failed, fragment by fragment and record by record. It holds record values. */
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

type Failure = {
  readonly run: Run;
  readonly fault: Fault;
  readonly items: readonly WorkItem[];
  readonly rejects: readonly Reject[];
};

export function toErrorLog({ run, fault, items, rejects }: Failure): ErrorLog {
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
 * The text of records that only the judge rejected: it sees staged rows, so their fragments are read once more, each
 * up to the last record that is wanted.
 */

export type RejectTextPorts = {
  readonly store: ObjectStore;
  readonly read: ReadRecords;
  readonly now: () => number;
};
/** Below this no fragment is begun: the rejects themselves still have to be stored. */
const reserveSeconds = 60;
/** Decoded bytes of all fragments together, about half a minute. */
const maxBytes = 512 * 1024 * 1024;
/** Characters of all texts together: they go through the ledger in one statement. */
const maxCharacters = 16 * 1024 * 1024;

/** Fills `raw` where it is missing, as far as time and bytes allow. @param deadline milliseconds since the epoch */
export async function fillRejectTexts(
  ports: RejectTextPorts,
  { items, rejects }: { items: readonly WorkItem[]; rejects: readonly Reject[] },
  deadline: number,
): Promise<Reject[]> {
  const wanted = Map.groupBy(
    rejects.filter(({ raw }) => raw === null),
    ({ key }) => key,
  );
  const search: Search = { stopAt: deadline - reserveSeconds * 1000, bytes: maxBytes, characters: maxCharacters };
  const found = new Map<string, string>();
  for (const item of items) {
    const records = wanted.get(item.object.key);
    if (records) await findTexts(ports, { item, search, found }, new Set(records.map(({ record }) => record)));
  }
  return rejects.map((reject) => ({
    ...reject,
    raw: reject.raw ?? found.get(nameOf(reject.key, reject.record)) ?? null,
  }));
}

/** What is left to spend. */
type Search = { readonly stopAt: number; bytes: number; characters: number };
type Place = { readonly item: WorkItem; readonly search: Search; readonly found: Map<string, string> };

const nameOf = (key: string, record: number): string => `${record} ${key}`;

async function findTexts(ports: RejectTextPorts, { item, search, found }: Place, wanted: Set<number>): Promise<void> {
  const isSpent = (): boolean => ports.now() >= search.stopAt || search.bytes <= 0 || search.characters <= 0;
  if (isSpent()) return;
  try {
    for await (const group of ports.read(ports.store, item.object, { from: null })) {
      search.bytes -= group.bytes;
      for (const record of group.records) {
        if (!wanted.delete(record.number)) continue;
        const text = cutRaw(group.rawText(record));
        search.characters -= text.length;
        found.set(nameOf(item.object.key, record.number), text);
      }
      if (wanted.size === 0 || isSpent()) return;
    }
  } catch (error) {
    // The version was read before; that it cannot be read now must not hide why its records were rejected.
    if (!(error instanceof PermanentError || error instanceof BlockedError)) throw error;
  }
}

/** What a report says, and where. */
type Report = { readonly key: string; readonly content: unknown };

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
