import type { Fault } from "./errors.ts";
import type { ObjectVersion } from "./objects.ts";
import type { ReadPosition } from "./records.ts";
import type { Reject } from "./rejects.ts";

/** Work items: the objects of a plan, each of which one worker takes at a time. */

export type NewItem = {
  readonly table: string;
  readonly kind: "fragment" | "marker" | "superseded";
  readonly stagedKey: string;
  readonly object: ObjectVersion;
};

export type WorkItem = NewItem & {
  readonly itemId: number;
  readonly state: "pending" | "done" | "failed";
  readonly position: ReadPosition | null;
  readonly slices: number;
  readonly records: number;
  readonly rejected: number;
  readonly nulled: number;
  readonly bytes: number;
  readonly fingerprint: bigint;
  readonly fault: Fault | null;
  readonly archivedKey: string | null;
};

export type ArchivedItem = { readonly item: WorkItem; readonly archivedKey: string };

export type SliceProgress = {
  readonly position: ReadPosition;
  readonly records: number;
  readonly nulled: number;
  readonly bytes: number;
  readonly fingerprint: bigint;
  readonly rejects: readonly Reject[];
  readonly rejected: number;
  readonly done: boolean;
};
