import { BlockedError, PermanentError } from "../core/errors.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { WorkItem } from "../core/ports.ts";
import { cutRaw, type Reject } from "../core/rejects.ts";
import type { ReadRecords } from "./stage-fragments.ts";

/**
 * The text of records that only the judge rejected: it sees staged rows, so their fragments are read once more, each
 * up to the last record that is wanted.
 */

export type RejectTextPorts = {
  readonly store: ObjectStore;
  readonly read: ReadRecords;
  readonly now: () => number;
};

type Rejected = { readonly items: readonly WorkItem[]; readonly rejects: readonly Reject[] };

/** Below this no fragment is begun: the rejects themselves still have to be stored. */
const reserveSeconds = 60;
/** Decoded bytes of all fragments together, about half a minute. */
const maxBytes = 512 * 1024 * 1024;
/** Characters of all texts together: they go through the ledger in one statement. */
const maxCharacters = 16 * 1024 * 1024;

/** Fills `raw` where it is missing, as far as time and bytes allow. @param deadline milliseconds since the epoch */
export async function fillRejectTexts(
  ports: RejectTextPorts,
  { items, rejects }: Rejected,
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
