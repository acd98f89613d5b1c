import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { contractFaults, parseContracts } from "../../../lib/core/contract.ts";
import { addFingerprints } from "../../../lib/core/fingerprint.ts";
import type { ObjectStore } from "../../../lib/core/objects.ts";
import { hashOf, loaderVersion, type Plan, type PlanBody, planTables, type TablePlan } from "../../../lib/core/plan.ts";
import type { Reject } from "../../../lib/core/rejects.ts";
import type { Run } from "../../../lib/core/run.ts";
import type {
  CommitAnswer,
  CommitRequest,
  Pending,
  SliceWriter,
  TableEncoder,
  Target,
  UndoAnswer,
} from "../../../lib/core/target.ts";
import type { NewItem, SliceProgress, WorkItem } from "../../../lib/core/work-item.ts";
import { sinks } from "../../../lib/ledger/sinks.ts";
import { readFragment } from "../../../lib/readers/read-fragment.ts";
import type { Held, Within } from "./driven-ledger.ts";
import type { Batch, LoadReport, TargetHome, TargetUnderTest } from "./target-under-test.ts";

/** Plays the loader and its ledger against a target, through the port only. */

/** One batch on its way into a target. */
export type Delivery = {
  readonly home: TargetHome;
  readonly target: Target;
  /** The instance that asks again about what is pending. */
  readonly asker: Target;
  readonly run: Run;
  readonly plan: Plan;
  /** With their checkpoints; the ledger keeps them, so they are the same list for whoever takes the batch over. */
  readonly items: WorkItem[];
  readonly texts: ReadonlyMap<string, Buffer>;
};

export type DeliveryOptions = Partial<Pick<Run, "batchId" | "kind" | "epoch" | "attempt">>;

/** What the obligations call: whole loads, and deliveries whose single steps they play themselves. */
export function drive(home: TargetHome): TargetUnderTest {
  const play = async (batch: Batch, kind: "load" | "preview", loseStaging: boolean): Promise<LoadReport> => {
    const delivery = await begin(home, batch, { kind });
    try {
      await stage(delivery);
      const { target, plan } = delivery;
      if (loseStaging) await target.staging.tables.empty(plan.planId, plan.body);
      return await commit(delivery);
    } finally {
      await discard(delivery);
    }
  };
  return {
    ...home,
    load: (batch, { loseStaging = false } = {}) => play(batch, "load", loseStaging),
    preview: (batch) => play(batch, "preview", false),
    begin: (batch) => begin(home, batch, {}),
    stage: async (batch, options = {}) => {
      const delivery = await begin(home, batch, options);
      await stage(delivery);
      return delivery;
    },
  };
}

let batches = 0;

/** Plans a batch and makes its staging. */
async function begin(home: TargetHome, batch: Batch, options: DeliveryOptions): Promise<Delivery> {
  const target = home.open();
  const batchId = `batch_20260101_${String(batches++).padStart(6, "0")}`;
  const by = { fence: options.kind === "preview" ? 0 : 1, runId: randomUUID(), workers: [1] };
  const ids: Omit<Run, "planId"> = { batchId, kind: "load", epoch: 1, attempt: 1, ...by, ...options };
  const body = await planBody(target, batch);
  const { items, texts } = fragmentsOf(ids.batchId, batch);
  const { planId, itemIds } = await home.ledger.begin(ids, items);
  await target.staging.tables.create(planId, body);
  const plan: Plan = {
    planId,
    kind: ids.kind === "preview" ? "preview" : "load",
    runId: ids.runId,
    attempt: ids.attempt,
    body,
  };
  const begun = items.map((item, index) => notBegun(item, itemIds[index] ?? 0));
  return { home, target, asker: target, run: { ...ids, planId }, plan, items: begun, texts };
}

async function planBody({ catalog }: Target, batch: Batch): Promise<PlanBody> {
  const written = Object.fromEntries(Object.entries(batch).map(([table, { contract }]) => [table, contract]));
  const { contracts, faults } = parseContracts(JSON.stringify({ tables: written }));
  const names = Object.keys(batch);
  const shapes = await catalog.read(names);
  const all = contracts ? contractFaults(contracts, shapes) : faults;
  if (!contracts || all.length > 0) throw new Error(all.join("; "));
  const input = { batchId: "", action: "load", dryRun: false, force: false, source: "manual" } as const;
  return {
    tables: planTables(names, { contracts: { hash: "", contracts }, catalog: shapes, input }),
    held: [],
    parts: [],
    totals: {},
    options: {},
    batchSize: 1000,
    contractHash: "",
    catalogHash: hashOf([...shapes.values()]),
    loaderVersion,
    approved: false,
  };
}

function fragmentsOf(batchId: string, batch: Batch) {
  const texts = new Map<string, Buffer>();
  const items = Object.entries(batch).flatMap(([table, { fragments }]) =>
    fragments.map((text, index): NewItem => {
      const key = `staging/validated/${batchId}/${table}/part-${index + 1}.json`;
      const bytes = Buffer.from(text);
      texts.set(key, bytes);
      const object = { key, versionId: null, etag: "e", size: bytes.length, lastModified: new Date(0) };
      return { table, kind: "fragment", stagedKey: key, object };
    }),
  );
  return { items, texts };
}

const nothingStaged = {
  position: null,
  slices: 0,
  records: 0,
  rejected: 0,
  nulled: 0,
  bytes: 0,
  fingerprint: 0n,
} as const;

const notBegun = (item: NewItem, itemId: number): WorkItem => ({
  ...item,
  ...nothingStaged,
  itemId,
  state: "pending",
  fault: null,
  archivedKey: null,
});

/** Small, so that fragments of some thousand records take several slices. */
const sliceRecords = 1000;

type Slice = {
  readonly item: WorkItem;
  readonly plan: TablePlan;
  readonly index: number;
  readonly encoder: TableEncoder;
};

/** Stages what is pending, slice by slice. */
export async function stage(delivery: Delivery): Promise<void> {
  for (const [place, first] of delivery.items.entries()) {
    if (first.state !== "pending") continue;
    const slice = sliceOf(delivery, first);
    for (let item = first; item.state === "pending"; delivery.items[place] = item) {
      item = await stageSlice(delivery, { ...slice, item });
    }
  }
}

/** Writes the first slice of every fragment, and dies behind its end, or gives it up; the ledger never hears of it. */
export async function stageInVain(delivery: Delivery, ending: "end" | "abort"): Promise<void> {
  for (const item of delivery.items) {
    const slice = sliceOf(delivery, item);
    await delivery.home.ledger.transact("staging", async (within) => {
      const sink = await openSink(delivery, slice, within);
      await encode(delivery, slice, sink);
      await sink[ending]();
      return dropped(null);
    });
  }
}

function sliceOf({ target, plan }: Delivery, item: WorkItem): Slice {
  const index = plan.body.tables.findIndex(({ table }) => table === item.table);
  const table = plan.body.tables[index];
  if (!table) throw new Error(`the plan has no table ${item.table}`);
  return { item, plan: table, index, encoder: target.staging.encoder(table) };
}

function stageSlice(delivery: Delivery, slice: Slice): Promise<WorkItem> {
  const { home, run } = delivery;
  return home.ledger.transact("staging", async (within) => {
    const sink = await openSink(delivery, slice, within);
    try {
      const progress = await encode(delivery, slice, sink);
      await sink.end();
      await home.ledger.addRejects(within, run, { itemId: slice.item.itemId, rejects: progress.rejects });
      return kept(movedOn(slice.item, progress));
    } catch (error) {
      await sink.abort();
      throw error;
    }
  });
}

const openSink = ({ target, plan: { planId } }: Delivery, { item, plan, index }: Slice, within: Within) =>
  target.staging.rows.open({ planId, plan, index, item }, within);

async function encode({ texts }: Delivery, { item, encoder }: Slice, writer: SliceWriter): Promise<SliceProgress> {
  const slice = encoder.begin(item);
  const options = { from: item.position, take: slice.take, limits: { groupRecords: sliceRecords / 4 } };
  let [records, bytes, done] = [0, 0, true];
  let position = item.position ?? { offset: 0, records: 0, state: {} };
  for await (const group of readFragment(storeOf(texts), item.object, options)) {
    await slice.send(group, writer);
    records += group.count;
    bytes += group.bytes;
    position = group.next;
    done = records < sliceRecords;
    if (!done) break;
  }
  return { position, records, bytes, done, ...(await slice.end()) };
}

const storeOf = (texts: ReadonlyMap<string, Buffer>): Pick<ObjectStore, "read"> => ({
  read: async ({ key }, from = 0) => ({
    bytes: Readable.from([texts.get(key)?.subarray(from) ?? Buffer.alloc(0)]),
    contentEncoding: null,
  }),
});

const movedOn = (item: WorkItem, progress: SliceProgress): WorkItem => ({
  ...item,
  state: progress.done ? "done" : "pending",
  position: progress.position,
  slices: item.slices + 1,
  records: item.records + progress.records,
  rejected: item.rejected + progress.rejected,
  nulled: item.nulled + progress.nulled,
  bytes: item.bytes + progress.bytes,
  fingerprint: addFingerprints(item.fingerprint, progress.fingerprint),
});

/** Commits, after what is missing has been staged again. */
export async function commit(delivery: Delivery): Promise<LoadReport> {
  const first = await commitOnce(delivery);
  if (!("missing" in first)) return { ...first, restaged: false };
  await restage(delivery, first.missing);
  const second = await commitOnce(delivery);
  if (!("missing" in second)) return { ...second, restaged: true };
  throw new Error(`rows of items ${second.missing.join(", ")} are missing although they were staged again`);
}

type Looked = Omit<LoadReport, "restaged"> | { readonly missing: readonly number[] };

function commitOnce(delivery: Delivery): Promise<Looked> {
  const { home, target, asker, plan, items } = delivery;
  return home.ledger.transact<Looked>("commit", async (within, mayRace) => {
    const request = { ...requestOf(delivery, within), mayRace };
    await target.commit.prepare(request);
    await requireSameCatalog(delivery, within);
    const missing = await target.staging.rows.missing(plan, items, within);
    if (missing.length > 0) return dropped({ missing });
    const answer = await settle(await target.commit.submit(request), (handle) => asker.commit.ask(handle, request));
    const rejects = [...(await home.ledger.rejects(within, plan.planId)), ...(answer.rejects ?? [])];
    return { value: toReport(answer, rejects), keep: answer.outcome === "done" && plan.kind === "load" };
  });
}

export function requestOf({ run, plan, items }: Delivery, within: Within): CommitRequest {
  return { run, part: 0, plan, items: [...items], sinks, within, mayRace: false, enter: () => undefined };
}

async function requireSameCatalog({ target, plan: { body } }: Delivery, within: Within): Promise<void> {
  const tables = body.tables.map(({ table }) => table);
  const shapes = [...(await target.catalog.read(tables, within)).values()];
  if (hashOf(shapes) !== body.catalogHash)
    throw new Error(`${tables.join(", ")}: the catalog is not what was planned by`);
}

const maxAsked = 100;

type Settled<Answer> = Exclude<Answer, Pending>;

async function settle<Answer extends { readonly outcome: string }>(
  submitted: Answer | Pending,
  ask: (handle: string) => Promise<Answer | Pending>,
): Promise<Settled<Answer>> {
  let answer = submitted;
  for (let n = 0; n < maxAsked; n += 1) {
    if (!("handle" in answer)) return answer as Settled<Answer>;
    answer = await ask(answer.handle);
  }
  throw new Error(`still pending after ${maxAsked} times`);
}

function toReport(
  { outcome, tables }: Settled<CommitAnswer>,
  rejects: readonly Reject[],
): Omit<LoadReport, "restaged"> {
  const counts = tables.map(({ table, counts: all }) => {
    const named = Object.entries(all).filter(([, count]) => count > 0);
    return [table, Object.fromEntries(named.map(([name, count]) => [name.replace("records_", ""), count]))];
  });
  return {
    status: outcome === "done" ? "committed" : "rejected",
    counts: Object.fromEntries(counts),
    rejects: rejects.map(({ table, record, field, code, constraint }) => ({ table, record, field, code, constraint })),
  };
}

async function restage(delivery: Delivery, lost: readonly number[]): Promise<void> {
  const { items } = delivery;
  await forget(delivery, lost);
  for (const [place, item] of items.entries()) {
    if (lost.includes(item.itemId)) items[place] = { ...notBegun(item, item.itemId), slices: item.slices + 1 };
  }
  await stage(delivery);
}

/** Deletes what is staged of items, without a word to their checkpoints. */
export async function forget({ home, target, plan }: Delivery, items: readonly number[]): Promise<void> {
  await home.ledger.transact("staging", async (within) => {
    await target.staging.rows.forget(plan, items, within);
    await home.ledger.forgetRejects(within, items);
    return kept(null);
  });
}

class Died extends Error {}

/** Submits, and dies before the answer is known: a transaction of the ledger ends with its client. */
export async function submitAndDie(delivery: Delivery): Promise<void> {
  const { home, target } = delivery;
  const dead = home.ledger.transact("commit", async (within) => {
    const request = requestOf(delivery, within);
    await target.commit.prepare(request);
    await target.commit.submit(request);
    throw new Died();
  });
  await dead.catch((error: unknown) => {
    if (!(error instanceof Died)) throw error;
  });
}

/** The same delivery in another process, which begins by raising the fence. */
export const takeOver = ({ home, run, ...delivery }: Delivery): Delivery => {
  const target = home.open();
  return { ...delivery, home, target, asker: target, run: { ...run, fence: run.fence + 1 } };
};

/** Does what a commit begins with. */
export async function prepare(delivery: Delivery): Promise<void> {
  await delivery.home.ledger.transact("commit", async (within) => {
    await delivery.target.commit.prepare(requestOf(delivery, within));
    return kept(null);
  });
}

/** Submits without the beginning of a commit, as a process that was frozen behind it. */
export function submitLate(delivery: Delivery): Promise<CommitAnswer> {
  return delivery.home.ledger.transact("commit", async (within) =>
    kept(await delivery.target.commit.submit(requestOf(delivery, within))),
  );
}

/** Takes back what the delivery committed. */
export function undo(delivery: Delivery): Promise<Settled<UndoAnswer>> {
  const { home, target, asker } = delivery;
  return home.ledger.transact("commit", async (within) => {
    if (target.undo === null || asker.undo === null) throw new Error(`${target.capabilities.name} takes nothing back`);
    const { ask } = asker.undo;
    const { run, part, plan } = requestOf(delivery, within);
    const request = { run, part, plan, sinks, within };
    const answer = await settle(await target.undo.submit(request), (handle) => ask(handle, request));
    return { value: answer, keep: answer.outcome === "done" };
  });
}

/** Which of its items the target misses rows of. */
export const missing = ({ home, target, plan, items }: Delivery): Promise<readonly number[]> =>
  home.ledger.transact("staging", async (within) => kept(await target.staging.rows.missing(plan, items, within)));

/** Gives up plan and staging. */
export async function discard({ home, target, plan: { planId } }: Delivery): Promise<void> {
  await home.ledger.transact("staging", async (within) => {
    await target.staging.tables.drop(planId, within);
    await home.ledger.discard(within, planId);
    return kept(null);
  });
}

const kept = <T>(value: T): Held<T> => ({ value, keep: true });
const dropped = <T>(value: T): Held<T> => ({ value, keep: false });
