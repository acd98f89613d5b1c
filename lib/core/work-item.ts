import type { Fault } from "./errors.ts";
import type { ObjectVersion } from "./objects.ts";
import type { ReadPosition } from "./records.ts";
import type { Reject } from "./rejects.ts";

export type NewItem = {
  readonly table: string;
  readonly kind: "fragment" | "marker" | "superseded";
  readonly stagedKey: string;
  readonly object: ObjectVersion;
};

export type WorkItem = {
  readonly itemId: number;
  readonly table: string;
  readonly kind: NewItem["kind"];
  readonly stagedKey: string;
  readonly object: ObjectVersion;
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
