import type { Catalog } from "../../core/catalog.ts";
import { type Contracts, tableFaults } from "../../core/contract.ts";
import {
  type DatabaseDoctor,
  type DoctorSettings,
  type Finding,
  faultFinding,
  finding,
  type Verdict,
} from "../../core/doctor.ts";
import { PermanentError, parseFault } from "../../core/errors.ts";
import { executionInput } from "../../core/execution.ts";
import { planTables, type TablePlan } from "../../core/plan.ts";
import type { ContractView } from "./contract-view.ts";
import { once, type PlannedCheck } from "./run-checks.ts";

type TargetPorts = { readonly database: DatabaseDoctor; readonly settings: DoctorSettings };

/** The tables that the contracts name: whether they can be loaded, and by this role. */
export function targetChecks(view: ContractView, { database, settings }: TargetPorts): PlannedCheck[] {
  const tables = once(async () => [...(await view.catalog()).keys()]);
  const rights = once(async () => database.rights(await tables()));
  return [
    { area: "targets", name: "loadable", run: () => checkLoadable(view) },
    { area: "targets", name: "natural keys", run: () => checkGuards(view) },
    { area: "targets", name: "permissions", run: async () => checkRights(await rights()) },
    { area: "targets", name: "role", run: async () => checkRole(await rights(), settings) },
    { area: "targets", name: "foreign keys", run: async () => checkForeignKeys(database, await tables()) },
  ];
}

type Planned = { readonly plans: readonly TablePlan[]; readonly findings: readonly Finding[] };

/** As a load would plan them: each by itself, so that all are named, and then together, for their foreign keys. */
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
  // what a contract says of a table that is otherwise is named where the contracts are looked at
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

/** `subject: got; fix`, as the errors of planning are written. */
function unloadable(where: string, { code, message }: PermanentError): Finding {
  const text = parseFault(message, code).message.replace(/^table [^:]+: /, "");
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

type Rights = Awaited<ReturnType<DatabaseDoctor["rights"]>>;

function checkRights({ role, missing }: Rights): Verdict {
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

/** The local environment's one role owns everything, and is nobody else's. */
function checkRole({ role, excessive }: Rights, { localEndpoint }: DoctorSettings): Verdict {
  if (excessive.length === 0) return { said: `${role} may change rows and no structure`, findings: [] };
  if (localEndpoint !== null) return { said: `${role} owns the local environment`, findings: [] };
  const more = excessive.length > mostReasons ? ` and ${excessive.length - mostReasons} more` : "";
  const got = `${excessive.slice(0, mostReasons).join(", ")}${more}`;
  const expected = "rights on rows alone";
  const fix = "let a role of its own load, which owns no table (least privilege); see docs/deploy.md";
  return { said: "", findings: [finding("ROLE_DDL", { where: `role ${role}`, got, expected, fix })] };
}

async function checkForeignKeys(database: DatabaseDoctor, tables: readonly string[]): Promise<Verdict> {
  const unindexed = await database.unindexed(tables);
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
