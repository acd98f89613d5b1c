import { type ControlFacts, type DatabaseDoctor, type Finding, finding, type Verdict } from "../../core/doctor.ts";
import type { FindingCode } from "../../core/findings.ts";
import { checksOf, type PlannedCheck } from "./run-checks.ts";

const migrate = "run the migrations: deploy, or invoke the function migrate";

export function controlChecks(database: DatabaseDoctor): PlannedCheck[] {
  return checksOf("control tables", () => database.control(), {
    migrations: checkMigrations,
    tables: checkTables,
    columns: checkColumns,
  });
}

function checkMigrations({ pendingMigrations }: ControlFacts): Verdict {
  const named = listed("MIGRATION_PENDING", pendingMigrations, { expected: "done", got: "not run", fix: migrate });
  return { said: "all done", findings: named((name) => `migration ${name}`) };
}

function checkTables({ missingRelations }: ControlFacts): Verdict {
  const fix = `${migrate}; where one was dropped, restore it from a backup`;
  const named = listed("CONTROL_TABLE_MISSING", missingRelations, { expected: "a table or view", got: "none", fix });
  return { said: "all there", findings: named((name) => name) };
}

function checkColumns({ missingColumns, requiredColumns }: ControlFacts): Verdict {
  const add = "add it, see docs/reference/control-tables.md for its type";
  const missing = listed("CONTROL_COLUMN_MISSING", missingColumns, { expected: "a column", got: "none", fix: add });
  const required = listed("CONTROL_COLUMN_REQUIRED", requiredColumns, {
    expected: "null allowed, or a default",
    got: "not null without a default",
    fix: "give it a default, or drop its not null",
  });
  const findings = [missing, required].flatMap((named) => named((name) => name));
  return { said: "all there", findings };
}

/** A finding for every name. */
function listed(code: FindingCode, names: readonly string[], rest: Pick<Finding, "got" | "expected" | "fix">) {
  return (where: (name: string) => string): Finding[] =>
    names.map((name) => finding(code, { where: where(name), ...rest }));
}
