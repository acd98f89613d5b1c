import { createHash } from "node:crypto";
import { type Catalog, type Column, hasUniqueGuard, isSameKey, type TableShape } from "./catalog.ts";
import { type ContractsVersion, excludedColumns, type TableContract, tableFaults } from "./contract.ts";
import { BlockedError, PermanentError } from "./errors.ts";
import type { ExecutionInput } from "./execution.ts";
import type { PlanKind } from "./kinds.ts";
import type { DeclaredPart } from "./manifest.ts";
import type { Run } from "./run.ts";

/** Plans: the tables of a batch and how they are loaded, pinned for the whole load. */

export type Plan = {
  readonly planId: number;
  readonly kind: PlanKind;
  readonly runId: string;
  readonly attempt: number;
  readonly body: PlanBody;
};

/** The plan of one table. */
export type TablePlan = {
  readonly table: string;
  readonly shape: TableShape;
  readonly contract: TableContract & { readonly natural_key: string[] };
  /** Columns that a fragment may write, in the table's order. */
  readonly columns: readonly Column[];
  /** False if no valid unique index holds the natural key: then the commit locks the table. */
  readonly guarded: boolean;
};

/** The content of a plan and the versions that it is bound to; kept in the ledger. */
export type PlanBody = {
  readonly tables: readonly TablePlan[];
  /** Tables that were left out by hand. */
  readonly held: readonly string[];
  readonly batchSize: number;
  readonly contractHash: string;
  readonly catalogHash: string;
  readonly loaderVersion: string;
  /** Options of the start, with which a load is planned again if it has to be. */
  readonly options: PlanOptions;
  /** The parts that manifests declare. */
  readonly parts: readonly DeclaredPart[];
  /** Records by table, as the queue declares them. */
  readonly totals: Readonly<Record<string, number>>;
  /** True if the plan needs approved queue rows, which the commit reads again. */
  readonly approved: boolean;
};

export type PlanOptions = Partial<Pick<ExecutionInput, "action" | "tables" | "strategy" | "batchSize">>;

/** Raised with every change of the form of staged rows: a takeover by another version plans again. */
export const loaderVersion = "2";

export function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 32);
}

/** The error of a step whose plan was dropped. */
export function planMissing({ planId, batchId }: Run): BlockedError {
  return new BlockedError("PLAN_MISSING", `plan ${planId} of ${batchId} is gone; it is planned again`);
}

type Planned = { readonly contracts: ContractsVersion; readonly catalog: Catalog; readonly input: ExecutionInput };

/**
 * Plans the given tables, parents before children.
 *
 * @throws PermanentError TABLE_NOT_ALLOWED, TABLE_UNKNOWN, KEY_NOT_DEFINED, TABLE_UNSUPPORTED, TABLE_RLS
 */
export function planTables(tables: readonly string[], planned: Planned): TablePlan[] {
  return orderByForeignKeys(tables.map((table) => planTable(table, planned)));
}

function planTable(table: string, { contracts, catalog, input }: Planned): TablePlan {
  const contract = Object.hasOwn(contracts.contracts.tables, table) ? contracts.contracts.tables[table] : undefined;
  const shape = catalog.get(table);
  if (!shape) throw fault("TABLE_UNKNOWN", table, "no such table in the database; check the fragment's name");
  if (!contract) {
    throw fault("TABLE_NOT_ALLOWED", table, "no contract in config/tables.json; add one to allow loading it");
  }
  const { natural_key: naturalKey } = contract;
  if (!naturalKey) throw fault("KEY_NOT_DEFINED", table, "its contract has no natural_key; add one");
  refuseUnsupported(shape);
  // The contract was checked when it was read; the table may have changed since.
  const faults = tableFaults(contract, shape);
  if (faults.length > 0) throw new BlockedError("CONTRACT_INVALID", `table ${shape.name}: ${faults.join("; ")}`);
  const guarded = isGuarded(shape, naturalKey);
  const strategy = input.strategy ?? contract.update_strategy;
  return {
    table,
    shape,
    contract: { ...contract, natural_key: naturalKey, update_strategy: strategy },
    columns: convertibleColumns(shape, contract),
    guarded,
  };
}

function refuseUnsupported(shape: TableShape): void {
  if (shape.kind !== "r" && shape.kind !== "p") {
    throw fault("TABLE_UNSUPPORTED", shape.name, `expected a table, got relation kind ${shape.kind}`);
  }
  if (shape.rowSecurity) {
    throw fault("TABLE_RLS", shape.name, "row-level security would hide or refuse rows; load into a table without it");
  }
}

/** The columns that a fragment may write; all that cannot be converted are named at once. */
function convertibleColumns(shape: TableShape, contract: TableContract): Column[] {
  const excluded = excludedColumns(shape, contract);
  const columns = shape.columns.filter(
    (column) => !excluded.has(column.name) && !column.generated && column.identity !== "always",
  );
  const faults = columns.flatMap(({ unsupported }) => unsupported ?? []);
  if (faults.length > 0) throw fault("TABLE_UNSUPPORTED", shape.name, faults.join("; "));
  return columns;
}

/** False without a unique index. One that exists but cannot hold the key is refused: rows outside it would repeat. */
function isGuarded(shape: TableShape, key: readonly string[]): boolean {
  if (hasUniqueGuard(shape, key)) return true;
  const unfit = shape.uniqueKeys.find(({ columns }) => isSameKey(columns, key));
  if (!unfit) return false;
  const text = `unique index ${unfit.name} on the natural key is deferrable, partial or invalid; make it a plain one`;
  throw fault("TABLE_UNSUPPORTED", shape.name, text);
}

/** Puts parents before children by the catalog's foreign keys; unrelated tables are in the order of their names. */
function orderByForeignKeys(plans: readonly TablePlan[]): TablePlan[] {
  const byName = new Map(plans.map((plan) => [plan.table, plan]));
  const ordered = new Map<string, TablePlan>();
  const visit = (plan: TablePlan, path: readonly string[]): void => {
    if (ordered.has(plan.table)) return;
    if (path.includes(plan.table)) {
      const cycle = [...path.slice(path.indexOf(plan.table)), plan.table].join(" -> ");
      const text = `foreign keys form a cycle (${cycle}); load these tables one by one`;
      throw fault("TABLE_UNSUPPORTED", plan.table, text);
    }
    for (const { parentTable } of plan.shape.foreignKeys) {
      const parent = byName.get(parentTable);
      if (parent && parentTable !== plan.table) visit(parent, [...path, plan.table]);
    }
    ordered.set(plan.table, plan);
  };
  for (const plan of plans.toSorted((a, b) => (a.table < b.table ? -1 : 1))) visit(plan, []);
  return [...ordered.values()];
}

function fault(code: string, table: string, text: string): PermanentError {
  return new PermanentError(code, `table ${table}: ${text}`, { table });
}

/** True if an update never changes the column. */
export function isImmutable({ contract }: TablePlan, column: string): boolean {
  return contract.immutable_fields.includes(column) || contract.columns[column]?.immutable === true;
}
