import type { TableShape } from "../../../lib/core/catalog.ts";
import { PermanentError, StaleFence, TransientError } from "../../../lib/core/errors.ts";
import { openFingerprint } from "../../../lib/core/fingerprint.ts";
import type { JsonObject } from "../../../lib/core/json.ts";
import type { Plan, TablePlan } from "../../../lib/core/plan.ts";
import type { SourceRecord } from "../../../lib/core/records.ts";
import { maxStoredRejects, type Reject } from "../../../lib/core/rejects.ts";
import type { Run } from "../../../lib/core/run.ts";
import type {
  CommitAnswer,
  CommitRequest,
  Pending,
  SliceEncoder,
  SlicePlace,
  SliceSink,
  TableEncoder,
  Target,
  TargetStaging,
  UndoAnswer,
  UndoConflict,
  UndoRequest,
} from "../../../lib/core/target.ts";
import type { WorkItem } from "../../../lib/core/work-item.ts";
import { transformOf } from "../../../lib/targets/postgres/encode/record-to-row.ts";
import { canonical, type Image, isSameRow, judgeTable, type Row, type Rows, type StagedRow } from "./memory-judge.ts";

/**
 * The smallest target that keeps the port's promises without the ledger's transaction: it commits by itself, answers
 * `pending` first, and tells by markers and fences of its own what must not happen twice, or not any more.
 */

/** All that outlives an instance. */
export type MemoryStore = {
  readonly tables: Map<string, MemoryTable>;
  /** By plan, and in it by the table's place. */
  readonly staging: Map<number, StagedTable[]>;
  /** The highest fence of each batch that somebody has prepared with. */
  readonly fences: Map<string, number>;
  readonly commits: Jobs<CommitTask, CommitAnswer>;
  readonly undos: Jobs<UndoTask, UndoAnswer>;
  /** The markers: what took effect under batch, epoch, table and part. */
  readonly effects: Map<string, Effect>;
};

export type MemoryTable = { readonly shape: TableShape; readonly defaults: Row; readonly rows: Rows };

/** By item and slice, so that a slice that is written again takes the place of the first one. */
type StagedTable = Map<number, Map<number, readonly StagedRow[]>>;

type Effect = { readonly outcome: Settled["tables"][number]; readonly images: readonly Image[] };
type Settled = Exclude<CommitAnswer, Pending>;

/** What was submitted is kept as data: whoever asks may be another process. */
type Jobs<Task, Answer> = Map<string, { readonly task: Task; answer: Exclude<Answer, Pending> | null }>;
type UndoTask = Pick<UndoRequest, "run" | "part" | "plan">;
type CommitTask = UndoTask & Pick<CommitRequest, "items">;

export const openStore = (): MemoryStore => ({
  tables: new Map(),
  staging: new Map(),
  fences: new Map(),
  commits: new Map(),
  undos: new Map(),
  effects: new Map(),
});

export function openMemoryTarget(store: MemoryStore): Target {
  return {
    capabilities: { name: "memory", sharesLedger: false },
    catalog: {
      read: async (tables) => {
        const known = tables.toSorted().flatMap((name) => store.tables.get(name) ?? []);
        return new Map(known.map(({ shape }) => [shape.name, shape]));
      },
    },
    staging: openStaging(store),
    commit: {
      prepare: async ({ run, plan }) => {
        for (const { table, guarded } of plan.body.tables) refuseUnguarded(table, guarded);
        raiseFence(store, run);
      },
      submit: async ({ run, part, plan, items }) => {
        requireFence(store, run);
        const task = structuredClone({ run, part, plan, items });
        return submitJob(store.commits, `commit of plan ${plan.planId}, part ${part}`, task);
      },
      ask: async (handle, { run }) => {
        requireFence(store, run);
        return answerJob(store.commits, handle, (task) => committed(store, task) ?? commitPlan(store, task));
      },
    },
    undo: {
      submit: async ({ run, part, plan }) => {
        raiseFence(store, run);
        const task = structuredClone({ run, part, plan });
        return submitJob(store.undos, `undo of ${run.batchId}, epoch ${run.epoch}, part ${part}`, task);
      },
      ask: async (handle, { run }) => {
        requireFence(store, run);
        return answerJob(store.undos, handle, (task) => undoPlan(store, task));
      },
    },
    inspect: { rights: async () => ({ missing: [], excessive: [] }), unindexed: async () => [] },
  };
}

function refuseUnguarded(table: string, guarded: boolean): void {
  if (guarded) return;
  const text = `table ${table}: expected the table's own key as the natural key; rows are found by it alone`;
  throw new PermanentError("TABLE_UNSUPPORTED", text);
}

/** A preview claims nothing, so that it has no fence. */
function raiseFence(store: MemoryStore, run: Run): void {
  requireFence(store, run);
  if (run.kind !== "preview") store.fences.set(run.batchId, run.fence);
}

function requireFence({ fences }: MemoryStore, { kind, batchId, fence }: Run): void {
  if (kind !== "preview" && fence < (fences.get(batchId) ?? 0)) throw new StaleFence(batchId, fence);
}

/** Takes a task up, or finds it taken up; one that was rejected has done nothing, and begins anew. */
function submitJob<Task, Answer extends { readonly outcome: string }>(
  jobs: Jobs<Task, Answer>,
  handle: string,
  task: Task,
): Exclude<Answer, Pending> | Pending {
  const job = jobs.get(handle);
  if (job?.answer?.outcome === "done") return job.answer;
  if (!job || job.answer) jobs.set(handle, { task, answer: null });
  return { outcome: "pending", handle };
}

/** A warehouse works by itself meanwhile; this target works when it is asked. */
function answerJob<Task, Answer>(
  jobs: Jobs<Task, Answer>,
  handle: string,
  work: (task: Task) => Exclude<Answer, Pending>,
): Exclude<Answer, Pending> {
  const job = jobs.get(handle);
  if (!job) throw new PermanentError("HANDLE_UNKNOWN", `nothing was submitted as "${handle}"`);
  job.answer ??= work(job.task);
  return job.answer;
}

const markerOf = ({ run, part }: UndoTask, table: string): string =>
  JSON.stringify([run.batchId, run.epoch, table, part]);

/** What became of the batch's tables, if they are committed; maybe by another plan. */
function committed({ effects }: MemoryStore, task: CommitTask): Settled | null {
  if (task.plan.kind === "preview") return null;
  const found = task.plan.body.tables.flatMap(({ table }) => effects.get(markerOf(task, table)) ?? []);
  return found.length === 0 ? null : { outcome: "done", tables: found.map(({ outcome }) => outcome), rejects: [] };
}

/** Judges all tables before it writes to any. */
function commitPlan(store: MemoryStore, task: CommitTask): Settled {
  const { plan, items } = task;
  if (missingItems(store, plan, items).length > 0) throw unfinished(plan.planId);
  const judged = plan.body.tables.map((table, index) => {
    const staged = [...stagedTable(store, plan.planId, index).values()].flatMap((slices) =>
      [...slices.values()].flat(),
    );
    const { rows: stored, defaults } = tableOf(store, table.table);
    return judgeTable({ plan: table, stored, defaults, staged, items: itemsOf(items, table) });
  });
  const tables = judged.map(({ outcome }) => outcome);
  const rejects = judged.flatMap((table) => table.rejects).slice(0, maxStoredRejects);
  if (tables.some(({ counts }) => counts.records_failed > 0)) return { outcome: "rejected", tables, rejects };
  if (plan.kind === "preview") return { outcome: "done", tables, rejects };
  for (const { outcome, images } of judged) {
    const { rows } = tableOf(store, outcome.table);
    for (const { key, new: row } of images) rows.set(key, row);
    store.effects.set(markerOf(task, outcome.table), { outcome, images });
  }
  return { outcome: "done", tables, rejects };
}

/** Looks at all tables before it takes anything back. The markers stay: under this epoch nothing is committed again. */
function undoPlan(store: MemoryStore, task: UndoTask): Exclude<UndoAnswer, Pending> {
  const tables = task.plan.body.tables.map(({ table }) => table);
  const imagesOf = (table: string) => store.effects.get(markerOf(task, table))?.images ?? [];
  const conflicts = tables.flatMap((table) => imagesOf(table).flatMap((image) => conflictOf(store, table, image)));
  if (conflicts.length > 0) return { outcome: "rejected", conflicts };
  for (const table of tables) {
    const { rows } = tableOf(store, table);
    for (const { key, old } of imagesOf(table)) old ? rows.set(key, old) : rows.delete(key);
  }
  return { outcome: "done", rows: Object.fromEntries(tables.map((table) => [table, imagesOf(table).length])) };
}

function conflictOf(store: MemoryStore, table: string, image: Image): UndoConflict[] {
  const row = tableOf(store, table).rows.get(image.key);
  if (row && isSameRow(row, image.new)) return [];
  const reason = row ? "the row was changed since" : "the row was deleted since";
  return [{ table, key: (JSON.parse(image.key) as string[]).join("|"), reason }];
}

function tableOf({ tables }: MemoryStore, name: string): MemoryTable {
  const table = tables.get(name);
  if (!table) throw new PermanentError("TABLE_UNKNOWN", `table ${name}: no such table in this memory`);
  return table;
}

function openStaging(store: MemoryStore): TargetStaging {
  const emptyTables = ({ tables }: Plan["body"]): StagedTable[] => tables.map(() => new Map());
  return {
    tables: {
      create: async (planId, body) => {
        if (!store.staging.has(planId)) store.staging.set(planId, emptyTables(body));
      },
      empty: async (planId, body) => void store.staging.set(planId, emptyTables(body)),
      drop: async (planId) => void store.staging.delete(planId),
    },
    encoder: openRowEncoder,
    rows: {
      open: async (place) => openSlice(store, place),
      missing: async (plan, items) => missingItems(store, plan, items),
      forget: async ({ planId, body }, items) => {
        for (const index of body.tables.keys()) {
          for (const item of items) stagedTable(store, planId, index).delete(item);
        }
      },
    },
  };
}

function stagedTable({ staging }: MemoryStore, planId: number, index: number): StagedTable {
  const table = staging.get(planId)?.[index];
  if (!table) throw unfinished(planId);
  return table;
}

const unfinished = (planId: number): TransientError =>
  new TransientError(
    "STAGE_UNFINISHED",
    `plan ${planId}: expected all of its rows in staging, got fewer; stage them again`,
  );

/** Rows are there when the slice ends; until then only this sink knows them. */
function openSlice(store: MemoryStore, { planId, index, item }: SlicePlace): SliceSink {
  const rows: StagedRow[] = [];
  return {
    write: async (lines) => {
      const texts = Buffer.from(lines).toString().split("\n").slice(0, -1);
      for (const text of texts) rows.push(JSON.parse(text) as StagedRow);
    },
    end: async () => {
      const table = stagedTable(store, planId, index);
      table.set(item.itemId, new Map([...(table.get(item.itemId) ?? []), [item.slices, rows]]));
    },
    abort: async () => undefined,
  };
}

function missingItems(store: MemoryStore, { planId, body }: Plan, items: readonly WorkItem[]): number[] {
  return body.tables.flatMap((table, index) => {
    const staged = stagedTable(store, planId, index);
    const countOf = (item: number) => [...(staged.get(item)?.values() ?? [])].flat().length;
    const short = itemsOf(items, table).filter((item) => countOf(item.itemId) !== item.records - item.rejected);
    return short.map(({ itemId }) => itemId);
  });
}

const itemsOf = (items: readonly WorkItem[], { table }: TablePlan): WorkItem[] =>
  items.filter((item) => item.table === table && item.kind === "fragment");

/** A line is the JSON of a staged row. */
function openRowEncoder(plan: TablePlan): TableEncoder {
  const transform = transformOf(plan);
  return { begin: (item) => beginSlice({ plan, transform }, item) };
}

type Encoding = { readonly plan: TablePlan; readonly transform: ReturnType<typeof transformOf> };

function beginSlice({ plan, transform }: Encoding, item: WorkItem): SliceEncoder {
  const fingerprint = openFingerprint();
  const slice = { rejects: [] as Reject[], rejected: 0, nulled: 0 };
  const lineOf = (record: SourceRecord, raw: string): string => {
    const row = record.duplicate === null ? transform(record.value as JsonObject) : nameTwice(record.duplicate);
    if ("rejects" in row) {
      const place = { table: item.table, key: item.object.key, record: record.number, constraint: null, raw };
      slice.rejected += 1;
      slice.rejects.push(...row.rejects.map((one) => ({ ...place, ...one })));
      fingerprint.addText(raw);
      return "";
    }
    slice.nulled += row.nulled;
    const values = plan.columns.map((column, index) => {
      const text = row.values[index] ?? null;
      return text === null ? null : canonical(column, text);
    });
    fingerprint.addText(JSON.stringify([row.absent, values]));
    const staged: StagedRow = { item: item.itemId, record: record.number, absent: row.absent, values };
    return `${JSON.stringify(staged)}\n`;
  };
  return {
    take: () => false,
    send: async ({ records, rawText }, writer) =>
      writer.write(Buffer.from(records.map((record) => lineOf(record, rawText(record))).join(""))),
    end: async () => ({ ...slice, fingerprint: fingerprint.sum() }),
  };
}

function nameTwice(field: string) {
  const reason = { code: "COLUMN_AMBIGUOUS", expected: "each name once in a record", got: "the name twice" } as const;
  return { rejects: [{ field, ...reason }] };
}
