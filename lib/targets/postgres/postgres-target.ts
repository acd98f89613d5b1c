import type postgres from "postgres";
import type { LedgerTransaction, Target, TargetCommit, TargetStaging } from "../../core/target.ts";
import { inTransaction, sharedTransaction, type TransactionOptions, type Tx } from "../../postgres/transaction.ts";
import { openTableEncoder } from "./encode/table-encoder.ts";
import { readTargetRights, readUnindexed } from "./inspect.ts";
import { judgeTables, lockTargets } from "./judge.ts";
import { openCatalog } from "./postgres-catalog.ts";
import { createStaging, dropStaging, emptyStaging, forgetRows, missingRows, openCopy } from "./staging.ts";

type PostgresTargetOptions = {
  /** Asked when the database is needed first. It is the ledger's, too. */
  readonly open: () => Promise<postgres.Sql>;
  /** Schema of the target tables. */
  readonly schema: string;
  /** Limits of what only reads. @default those of any transaction */
  readonly reading?: TransactionOptions;
};

/** PostgreSQL as a target, in the ledger's database: what it commits takes effect in the ledger's own transaction. */
export function openPostgresTarget({ open, schema, reading = {} }: PostgresTargetOptions): Target {
  const read = async <T>(work: (tx: Tx) => Promise<T>): Promise<T> => inTransaction(await open(), reading, work);
  const inspect = <T>(work: (tx: Tx) => Promise<T>): Promise<T> =>
    read(async (tx) => {
      await tx`set transaction read only`;
      return work(tx);
    });
  return {
    capabilities: { name: "postgres", sharesLedger: true },
    catalog: {
      read: (tables, within = null) => {
        const readIn = (tx: Tx) => openCatalog(tx, schema).read(tables);
        return within === null ? read(readIn) : readIn(sharedTransaction(within));
      },
    },
    staging: openStaging(open),
    commit: openCommit(),
    undo: null,
    inspect: {
      rights: (tables) => inspect((tx) => readTargetRights(tx, schema, tables)),
      unindexed: (tables) => inspect((tx) => readUnindexed(tx, schema, tables)),
    },
  };
}

function openStaging(open: PostgresTargetOptions["open"]): TargetStaging {
  return {
    tables: {
      create: async (planId, body) => createStaging(await open(), planId, body),
      empty: async (planId, body) => emptyStaging(await open(), planId, body),
      drop: (planId, within) => dropStaging(required(within), planId),
    },
    encoder: openTableEncoder,
    rows: {
      open: (place, within) => openCopy(required(within), place),
      missing: (plan, items, within) => missingRows(required(within), plan, items),
      forget: (plan, items, within) => forgetRows(required(within), plan, items),
    },
  };
}

function openCommit(): TargetCommit {
  const submit: TargetCommit["submit"] = async (request) => {
    const tables = await judgeTables(required(request.within), request);
    const isRejected = tables.some(({ counts }) => counts.records_failed > 0);
    return { outcome: isRejected ? "rejected" : "done", tables, rejects: null };
  };
  return {
    prepare: ({ plan, within }) => lockTargets(required(within), plan),
    submit,
    // it never answers `pending`: nothing outlives the transaction
    ask: (_handle, request) => submit(request),
  };
}

function required(within: LedgerTransaction | null): Tx {
  if (within === null) throw new TypeError("the PostgreSQL target works within a transaction of the ledger, got none");
  return sharedTransaction(within);
}
