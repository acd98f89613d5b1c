import type postgres from "postgres";
import { LoaderError } from "../../../lib/core/errors.ts";
import type { Reject } from "../../../lib/core/rejects.ts";
import type { Run } from "../../../lib/core/run.ts";
import type { LedgerTransaction } from "../../../lib/core/target.ts";
import type { NewItem } from "../../../lib/core/work-item.ts";
import { insertRejects, rejectsOfPlan } from "../../../lib/ledger/stored-rejects.ts";
import { inTransaction, RolledBack, sharedTransaction, shareTransaction } from "../../../lib/postgres/transaction.ts";

/** What the driver needs of a ledger: numbers for plans and items, a transaction, and a place for rejects. */
export type DrivenLedger = {
  /** Numbers a plan and its items. */
  begin(run: Omit<Run, "planId">, items: readonly NewItem[]): Promise<Numbers>;
  /** Runs the work, in a transaction if the target shares one; what it did stands if `keep` is true. */
  transact<T>(purpose: Purpose, work: (within: Within, mayRace: boolean) => Promise<Held<T>>): Promise<T>;
  addRejects(within: Within, run: Run, found: Found): Promise<void>;
  /** For items that are staged again. */
  forgetRejects(within: Within, items: readonly number[]): Promise<void>;
  rejects(within: Within, planId: number): Promise<readonly Reject[]>;
  discard(within: Within, planId: number): Promise<void>;
};

export type Numbers = { readonly planId: number; readonly itemIds: readonly number[] };
export type Within = LedgerTransaction | null;
export type Purpose = "staging" | "commit";
export type Held<T> = { readonly value: T; readonly keep: boolean };
export type Found = { readonly itemId: number; readonly rejects: readonly Reject[] };

/** As many as lib/ledger/commits.ts has. */
const maxLooks = 3;
const uniqueViolation = "23505";
const maxRejects = 1_000;

/** The ledger of a target that lies in the ledger's database: each purpose has the transaction that lib/ledger gives it. */
export function openSharedLedger(sql: postgres.Sql): DrivenLedger {
  return {
    begin: (run, items) => inTransaction(sql, {}, (tx) => insertPlan(tx, run, items)),
    transact: (purpose, work) =>
      lookAgain((mayRace) => {
        const options = purpose === "commit" ? ({ isolation: "repeatable read", budget: 60 } as const) : {};
        return inTransaction(sql, options, async (tx) => {
          const { value, keep } = await work(shareTransaction(tx), mayRace);
          return keep ? value : new RolledBack(value);
        });
      }),
    addRejects: (within, run, found) => insertRejects(transactionOf(within), run, found),
    forgetRejects: async (within, items) => {
      await transactionOf(within)`delete from table_loader.rejects where item_id = any(${[...items]}::bigint[])`;
    },
    rejects: (within, planId) => rejectsOfPlan(transactionOf(within), planId, maxRejects),
    discard: async (within, planId) => {
      await transactionOf(within)`delete from table_loader.rejects where plan_id = ${planId}`;
      await transactionOf(within)`delete from table_loader.plans where plan_id = ${planId}`;
    },
  };
}

function transactionOf(within: Within): ReturnType<typeof sharedTransaction> {
  if (within === null) throw new Error("the ledger that the target shares is asked outside of a transaction");
  return sharedTransaction(within);
}

async function lookAgain<T>(look: (mayRace: boolean) => Promise<T>): Promise<T> {
  for (let n = 1; n < maxLooks; n += 1) {
    try {
      return await look(true);
    } catch (error) {
      if (!(error instanceof LoaderError && error.details["sqlState"] === uniqueViolation)) throw error;
    }
  }
  return look(false);
}

async function insertPlan(
  tx: ReturnType<typeof sharedTransaction>,
  { batchId, runId, kind, epoch, attempt }: Omit<Run, "planId">,
  items: readonly NewItem[],
): Promise<Numbers> {
  const [plan] = await tx<{ plan_id: number }[]>`
    insert into table_loader.plans (batch_id, run_id, kind, epoch, attempt, body)
    values (${batchId}, ${runId}, ${kind}, ${epoch}, ${attempt}, '{}')
    returning plan_id
  `;
  const planId = plan?.plan_id ?? 0;
  const rows = items.map(({ table, object }) => ({ table_name: table, key: object.key }));
  const numbered = await tx<{ item_id: number; key: string }[]>`
    insert into table_loader.work_items (plan_id, table_name, kind, home_key, key, etag, size, last_modified)
    select ${planId}, i.table_name, 'fragment', i.key, i.key, 'e', 1, now()
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as i(table_name text, key text)
    returning item_id, key
  `;
  const ids = new Map(numbered.map(({ item_id: id, key }) => [key, id]));
  return { planId, itemIds: items.map(({ object }) => ids.get(object.key) ?? 0) };
}

/** The ledger of a target that lies elsewhere: no transaction of it reaches the target. */
export function openLedgerApart(): DrivenLedger {
  let last = 0;
  const rejects = new Map<number, Found[]>();
  return {
    begin: async (_run, items) => ({ planId: ++last, itemIds: items.map(() => ++last) }),
    transact: async (_purpose, work) => (await work(null, false)).value,
    addRejects: async (_within, { planId }, found) => {
      rejects.set(planId, [...(rejects.get(planId) ?? []), found]);
    },
    forgetRejects: async (_within, items) => {
      for (const [planId, found] of rejects) {
        rejects.set(
          planId,
          found.filter(({ itemId }) => !items.includes(itemId)),
        );
      }
    },
    rejects: async (_within, planId) => (rejects.get(planId) ?? []).flatMap((found) => found.rejects),
    discard: async (_within, planId) => void rejects.delete(planId),
  };
}
