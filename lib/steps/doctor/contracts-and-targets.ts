import type { Catalog } from "../../core/catalog.ts";
import {
  type Contracts,
  contractFaults,
  type ParsedContracts,
  parseContracts,
  tableFaults,
} from "../../core/contract.ts";
import {
  type ContractFacts,
  type DatabaseDoctor,
  type DoctorSettings,
  type Finding,
  faultFinding,
  finding,
  oneFinding,
  type RightsFacts,
  type Verdict,
} from "../../core/doctor.ts";
import { PermanentError } from "../../core/errors.ts";
import { executionInput } from "../../core/execution.ts";
import { contractsKey, parseFragmentKey, stagingPrefix } from "../../core/keys.ts";
import type { ObjectStore } from "../../core/objects.ts";
import { planTables, type TablePlan } from "../../core/plan.ts";
import type { TargetCatalog, TargetInspect } from "../../core/target.ts";
import { once, type PlannedCheck } from "./run-checks.ts";

/** Checks of the table contracts and of the tables that they name. */

/** Checks that read the bucket alone. */
export function contractFileChecks(view: ContractView): PlannedCheck[] {
  return [{ area: "contracts", name: "file", run: () => checkFile(view) }];
}

/** Checks that read bucket and database. */
export function contractChecks(view: ContractView, ports: ContractPorts): PlannedCheck[] {
  return [
    { area: "contracts", name: "catalog", run: () => checkCatalog(view) },
    { area: "contracts", name: "in force", run: () => checkInForce(view) },
    { area: "contracts", name: "coverage", run: () => checkCoverage(view, ports) },
  ];
}

async function checkFile({ current }: ContractView): Promise<Verdict> {
  const parsed = await current();
  const fix = `put a corrected file to ${contractsKey}, or deploy it`;
  if (parsed === null) {
    return oneFinding("CONTRACT_MISSING", { where: contractsKey, got: "none", expected: "the table contracts", fix });
  }
  const findings = parsed.faults.map((got) => toFault(contractsKey, got));
  return { said: `${contractsKey}, ${tablesOf(parsed.contracts).length} tables`, findings };
}

const missingKey = /^natural_key names column .+, which the table does not have$/;

function toFault(where: string, got: string): Finding {
  const expected = "contracts as docs/reference/contracts.md describes them";
  return finding("CONTRACT_FAULT", { where, got, expected, fix: `correct it in ${contractsKey}` });
}

/** Checks every name of the contracts against the tables as they are now. */
async function checkCatalog({ current, catalog }: ContractView): Promise<Verdict> {
  const contracts = (await current())?.contracts;
  if (!contracts) return { said: "there is none to look at", findings: [] };
  const findings = contractFaults(contracts, await catalog()).map((fault) => {
    const [, where = contractsKey, text = fault] = /^(table [^:]+): ([\s\S]*)$/.exec(fault) ?? [];
    if (!missingKey.test(text)) return toFault(where, text);
    const fix = `add the column, or name another one in ${contractsKey}`;
    return finding("KEY_COLUMN_MISSING", { where, got: text, expected: "a column of the table", fix });
  });
  return { said: "every name is there", findings };
}

/** A text that was found valid once stays in force; if a newer one has faults, the last good one stays in its place. */
async function checkInForce({ current, catalog, facts }: ContractView): Promise<Verdict> {
  const { known, lastGood } = await facts();
  const parsed = await current();
  const faults = parsed?.contracts ? contractFaults(parsed.contracts, await catalog()) : ["it cannot be read"];
  if (known || faults.length === 0) return { said: "the current version", findings: [] };
  const got = `${contractsKey} has faults: see above`;
  if (lastGood === null) {
    const fix = `correct ${contractsKey}; until then nothing is loaded`;
    return oneFinding("CONTRACT_NONE", { where: contractsKey, got, expected: "a valid version, now or earlier", fix });
  }
  const fix = `correct ${contractsKey}; until then loads go by the earlier version`;
  const where = `version ${lastGood.hash.slice(0, 12)}, found valid at ${lastGood.validAt.slice(0, 19)}`;
  return oneFinding("CONTRACT_OUTDATED", { where, got, expected: "the current version", fix });
}

/** Finds tables without a contract; a contract that no batch needs is no finding. */
async function checkCoverage({ usable, facts }: ContractView, { store }: ContractPorts): Promise<Verdict> {
  const covered = new Set(tablesOf(await usable()));
  const { queuedTables } = await facts();
  // one page is enough: a diagnosis must not take longer the more batches lie there
  const keys = await store.keys(stagingPrefix, "");
  const staged = keys.flatMap((key) => parseFragmentKey(key)?.table ?? []);
  const found = (tables: readonly string[], place: string): Finding[] =>
    [...new Set(tables)]
      .filter((table) => !covered.has(table))
      .map((table) =>
        finding("TABLE_UNCOVERED", {
          where: `table ${table}`,
          got: `it is in ${place}, and has no contract`,
          expected: "a contract, or no such table",
          fix: `add it to ${contractsKey}, or take it out of ${place}`,
        }),
      );
  const queued = found(queuedTables, "validation_queue");
  const others = found(
    staged.filter((table) => !queuedTables.includes(table)),
    "staging",
  );
  return { said: "no table in queue or staging is without one", findings: [...queued, ...others] };
}

type TargetPorts = {
  readonly database: DatabaseDoctor;
  readonly inspect: TargetInspect;
  readonly settings: DoctorSettings;
};

/** Checks whether the tables that the contracts name can be loaded, and by this role. */
export function targetChecks(view: ContractView, { database, inspect, settings }: TargetPorts): PlannedCheck[] {
  const tables = once(async () => [...(await view.catalog()).keys()]);
  const rights = once(async (): Promise<RightsFacts> => {
    const [control, target] = [await database.rights(), await inspect.rights(await tables())];
    // once for each object: ledger and target may share a schema, which both then ask for
    const missing = new Map([...control.missing, ...target.missing].map((right) => [right.object, right]));
    return {
      role: control.role,
      missing: [...missing.values()],
      excessive: [...control.excessive, ...target.excessive],
    };
  });
  return [
    { area: "targets", name: "loadable", run: () => checkLoadable(view) },
    { area: "targets", name: "natural keys", run: () => checkGuards(view) },
    { area: "targets", name: "permissions", run: async () => checkRights(await rights()) },
    { area: "targets", name: "role", run: async () => checkRole(await rights(), settings) },
    { area: "targets", name: "foreign keys", run: async () => checkForeignKeys(inspect, await tables()) },
  ];
}

type Planned = { readonly plans: readonly TablePlan[]; readonly findings: readonly Finding[] };

/** Plans the tables as a load would: each by itself, so that all faults are named, then together, for foreign keys. */
function planAll(contracts: Contracts, catalog: Catalog): Planned {
  const input = executionInput.parse({ batchId: "doctor" });
  const plan = (tables: readonly string[], where: string): Planned => {
    try {
      return { plans: planTables(tables, { contracts: { hash: "", contracts }, catalog, input }), findings: [] };
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      return { plans: [], findings: [unloadable(where, error)] };
    }
  };
  // a contract that does not fit its table is a finding of the contracts already
  const fit = [...catalog].filter(([table, shape]) => {
    const contract = contracts.tables[table];
    return contract !== undefined && tableFaults(contract, shape).length === 0;
  });
  const single = fit.map(([table]) => plan([table], `table ${table}`));
  const plans = single.flatMap((planned) => planned.plans);
  const together = plan(
    plans.map(({ table }) => table),
    "the tables together",
  );
  return { plans, findings: [...single.flatMap(({ findings }) => findings), ...together.findings] };
}

/** Takes the error of a plan apart, which reads `subject: got; fix`. */
function unloadable(where: string, { code, text: given }: PermanentError): Finding {
  const text = given.replace(/^table [^:]+: /, "");
  const [, got = text, fix = `see ${code} in docs/reference/errors.md`] = /^([\s\S]*); ([^;]*)$/.exec(text) ?? [];
  const what = "the table cannot be loaded";
  return faultFinding({ code, message: got }, { what, where, expected: "a table that can be loaded", fix });
}

async function checkLoadable({ usable, catalog }: ContractView): Promise<Verdict> {
  const contracts = await usable();
  if (!contracts) return { said: "no contract names a table", findings: [] };
  const { plans, findings } = planAll(contracts, await catalog());
  return { said: plans.map(({ table }) => table).join(", "), findings };
}

async function checkGuards({ usable, catalog }: ContractView): Promise<Verdict> {
  const contracts = await usable();
  const shapes = await catalog();
  const plans = contracts ? planAll(contracts, shapes).plans : [];
  const findings = plans
    .filter(({ guarded }) => !guarded)
    .map(({ table, shape, contract: { natural_key: key } }) =>
      finding("KEY_UNGUARDED", {
        where: `table ${table}`,
        got: `no unique index on (${key.join(", ")})`,
        expected: "a plain unique index on exactly these columns",
        fix: `create unique index concurrently on ${shape.schema}.${table} (${key.join(", ")})`,
      }),
    );
  return { said: "a unique index guards each of them", findings };
}

function checkRights({ role, missing }: RightsFacts): Verdict {
  const findings = missing.map(({ object, rights }) =>
    finding("GRANT_MISSING", {
      where: object,
      got: `no ${rights.join(", ")}`,
      expected: rights.join(", "),
      fix: `grant ${rights.join(", ")} on ${object} to ${role}`,
    }),
  );
  return { said: `${role} may read and write them, and the loader's own tables`, findings };
}

const mostReasons = 5;

/** Exempts a local environment, whose one role owns everything and serves no other purpose. */
function checkRole({ role, excessive }: RightsFacts, { localEndpoint }: DoctorSettings): Verdict {
  if (excessive.length === 0) return { said: `${role} may change rows and no structure`, findings: [] };
  if (localEndpoint !== null) return { said: `${role} owns the local environment`, findings: [] };
  const more = excessive.length > mostReasons ? ` and ${excessive.length - mostReasons} more` : "";
  const got = `${excessive.slice(0, mostReasons).join(", ")}${more}`;
  const expected = "rights on rows alone";
  const fix = "let a role of its own load, which owns no table (least privilege); see docs/deploy.md";
  return oneFinding("ROLE_DDL", { where: `role ${role}`, got, expected, fix });
}

async function checkForeignKeys(inspect: TargetInspect, tables: readonly string[]): Promise<Verdict> {
  const unindexed = await inspect.unindexed(tables);
  const findings = unindexed.map(({ table, constraint, columns }) =>
    finding("FOREIGN_KEY_UNINDEXED", {
      where: `table ${table}, constraint ${constraint}`,
      got: `no index begins with (${columns.join(", ")})`,
      expected: "an index",
      fix: `create index concurrently on ${table} (${columns.join(", ")})`,
    }),
  );
  return { said: "an index supports each of them", findings };
}

export type ContractPorts = {
  readonly store: Pick<ObjectStore, "readText" | "keys">;
  readonly catalog: TargetCatalog;
  readonly database: DatabaseDoctor;
};

/** The contracts and their tables, each read once for all checks. */
type ContractView = {
  /** The contracts in the bucket, parsed; null if there are none. */
  readonly current: () => Promise<ParsedContracts | null>;
  readonly facts: () => Promise<ContractFacts>;
  /** The current contracts, or the last good ones if the current ones cannot be used. */
  readonly usable: () => Promise<Contracts | null>;
  /** The tables that the usable contracts name. */
  readonly catalog: () => Promise<Catalog>;
};

export function openContractView({ store, catalog, database }: ContractPorts): ContractView {
  const text = once(async () => (await store.readText(contractsKey))?.text ?? null);
  const current = once(async () => {
    const found = await text();
    return found === null ? null : parseContracts(found);
  });
  const facts = once(async () => database.contracts(await text().catch(() => null)));
  const usable = once(async () => {
    const parsed = await current().catch(() => null);
    if (parsed?.contracts) return parsed.contracts;
    const { lastGood } = await facts();
    return lastGood && parseContracts(lastGood.body).contracts;
  });
  return { current, facts, usable, catalog: once(async () => catalog.read(tablesOf(await usable()))) };
}

function tablesOf(contracts: Contracts | null): string[] {
  return Object.keys(contracts?.tables ?? {});
}
