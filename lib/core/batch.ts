import { type FragmentKey, manifestMarker, parseFragmentKey, successMarker } from "./keys.ts";
import type { Manifest } from "./manifest.ts";
import type { ListedObject } from "./objects.ts";

/** A batch: its states, its rows in the queue, its object versions, and its sources by table. */

export type BatchState =
  | "waiting"
  | "loading"
  | "committed"
  | "archived"
  | "loaded"
  | "failing"
  | "failed"
  | "rolled_back";

export type TableState = "waiting" | "loading" | "loaded" | "failed" | "held" | "rolled_back";

/** A row of `validation_queue`. */
export type QueueRow = {
  readonly table: string;
  readonly status: string;
  readonly approved: boolean;
  readonly approvedAt: Date | null;
  readonly totalRecords: number | null;
};

/** An object version that the ledger has seen, in the current epoch. */
export type SeenVersion = {
  /** The key in staging under which it arrived. */
  readonly key: string;
  readonly version: string;
  readonly table: string;
  readonly state: "seen" | "superseded" | "loaded" | "failed" | "duplicate" | "changed" | "rolled_back" | "stray";
  readonly firstSeen: Date;
  readonly archivedKey: string | null;
  /** Last modification of the object that came again as this version and was compared; null if none did. */
  readonly redelivered: Date | null;
  readonly records: number | null;
  readonly fingerprint: bigint | null;
};

/**
 * One object as it would be loaded, and the key in staging under which it arrived. An object in `archive` was loaded
 * once, and the ledger has lost that.
 */
export type Source = {
  readonly object: ListedObject;
  readonly stagedKey: string;
  readonly origin: "staging" | "failed" | "archive";
};

/** The objects of one table of the batch. */
export type TableSources = {
  readonly table: string;
  readonly fragments: readonly Source[];
  readonly markers: readonly Source[];
  /** Older versions of current keys. Versions that a delete marker hides do not belong to the batch. */
  readonly superseded: readonly Source[];
  readonly complete: boolean;
};

/** Groups sources by table. `<table>.json` is complete by itself, parts are complete once a marker is there. */
export function groupSources(sources: readonly Source[], manifests: readonly Manifest[] = []): TableSources[] {
  const tables = Map.groupBy(
    sources.flatMap((source) => {
      const parsed = parseFragmentKey(source.stagedKey);
      return parsed ? [{ source, parsed }] : [];
    }),
    ({ parsed }) => parsed.table,
  );
  return [...tables]
    .map(([table, entries]) => {
      const manifest = manifests.find((candidate) => candidate.table === table);
      return toTableSources(table, entries, manifest);
    })
    .filter(({ fragments, markers }) => fragments.length + markers.length > 0)
    .toSorted((a, b) => (a.table < b.table ? -1 : 1));
}

type ParsedSource = { readonly source: Source; readonly parsed: FragmentKey };

function toTableSources(table: string, entries: readonly ParsedSource[], manifest?: Manifest): TableSources {
  const current = entries.filter(({ source }) => source.object.isLatest);
  const fragments = current.filter(({ parsed }) => parsed.kind === "fragment");
  const markers = current.filter(({ parsed }) => parsed.kind === "marker");
  const hasParts = fragments.some(({ parsed }) => parsed.kind === "fragment" && parsed.part !== null);
  const closed = markers.some(
    ({ parsed }) => parsed.kind === "marker" && [successMarker, manifestMarker].includes(parsed.marker),
  );
  const keys = new Set(fragments.map(({ source }) => source.stagedKey));
  const currentKeys = new Set(current.map(({ source }) => source.object.key));
  const older = entries.filter(({ source }) => !source.object.isLatest && currentKeys.has(source.object.key));
  const allThere = manifest?.parts.every(({ key }) => keys.has(key)) ?? true;
  return {
    table,
    fragments: fragments.map(({ source }) => source),
    markers: markers.map(({ source }) => source),
    superseded: older.map(({ source }) => source),
    complete: fragments.length > 0 && (!hasParts || closed) && allThere,
  };
}
