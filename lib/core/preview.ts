import type { Fault } from "./errors.ts";
import type { Plan } from "./plan.ts";
import type { Judgement } from "./ports.ts";
import type { Reject } from "./rejects.ts";
import { noCounts, type RecordCounts, sumCounts } from "./report.ts";
import type { Run } from "./run.ts";
import type { WorkItem } from "./work-item.ts";

/** The preview of a load: what it would do, and how it would end. */

/** The preview of one table. */
export type TablePreview = RecordCounts & {
  readonly update_strategy: string;
  readonly conflict_resolution: string;
  readonly natural_key: readonly string[];
  readonly fields: readonly string[];
  /** Number of records that would change each field. */
  readonly updated_fields: Readonly<Record<string, number>>;
  readonly immutable_attempts: Readonly<Record<string, number>>;
  readonly sample_record: Readonly<Record<string, unknown>> | null;
  readonly fragments: readonly { readonly key: string; readonly size: number; readonly records: number }[];
};

/** `previews/<batch_id>/<run_id>.json`, the only trace of a dry run. It holds record values. */
export type Preview = RecordCounts & {
  readonly batch_id: string;
  readonly run_id: string;
  readonly status: "preview";
  /** Status with which the load would end. */
  readonly would_be: "success" | "failed";
  readonly tables: Readonly<Record<string, TablePreview>>;
  readonly errors: readonly Fault[];
  readonly rejects: readonly Reject[];
};

type Previewed = {
  readonly run: Run;
  readonly plan: Plan;
  readonly items: readonly WorkItem[];
  readonly judgement: Judgement;
};

export function toPreview({ run, plan, items, judgement }: Previewed): Preview {
  const counts = sumCounts(judgement.tables.map((table) => table.counts));
  const errors = items.flatMap(({ fault, object }) =>
    fault ? [{ code: fault.code, message: `${object.key}: ${fault.message}` }] : [],
  );
  return {
    batch_id: run.batchId,
    run_id: run.runId,
    status: "preview",
    would_be: judgement.rejected > 0 || errors.length > 0 ? "failed" : "success",
    ...counts,
    tables: Object.fromEntries(
      plan.body.tables.map(({ table }) => [table, toTablePreview(table, { plan, items, judgement })]),
    ),
    errors,
    rejects: judgement.rejects,
  };
}

/** The preview of a run that failed before the judgement. */
export function toFailedPreview({ batchId, runId }: Run, fault: Fault): Preview {
  const ids = { batch_id: batchId, run_id: runId, status: "preview", would_be: "failed" } as const;
  return { ...ids, ...noCounts, tables: {}, errors: [fault], rejects: [] };
}

function toTablePreview(name: string, { plan, items, judgement }: Omit<Previewed, "run">): TablePreview {
  const table = plan.body.tables.find((planned) => planned.table === name);
  const outcome = judgement.tables.find((judged) => judged.table === name);
  return {
    update_strategy: table?.contract.update_strategy ?? "",
    conflict_resolution: table?.contract.conflict_resolution ?? "",
    natural_key: table?.contract.natural_key ?? [],
    fields: table?.columns.map((column) => column.name) ?? [],
    ...(outcome?.counts ?? noCounts),
    updated_fields: outcome?.changedFields ?? {},
    immutable_attempts: outcome?.immutableAttempts ?? {},
    sample_record: outcome?.sample ?? null,
    fragments: items
      .filter((item) => item.table === name && item.kind === "fragment")
      .map(({ object, records }) => ({ key: object.key, size: object.size, records })),
  };
}
