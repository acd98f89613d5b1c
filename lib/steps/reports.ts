import type { Fault } from "../core/errors.ts";
import type { WorkItem } from "../core/ports.ts";
import type { Reject } from "../core/rejects.ts";
import type { Run } from "../core/run.ts";

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
