import { type ControlFacts, type DatabaseDoctor, type Finding, finding, type Verdict } from "../../core/doctor.ts";
import type { FindingCode } from "../../core/findings.ts";
import { once, type PlannedCheck } from "./run-checks.ts";

const migrate = "run the migrations: deploy, or invoke the function migrate";

export function controlChecks(database: DatabaseDoctor): PlannedCheck[] {
  const facts = once(() => database.control());
  const check = (name: string, look: (facts: ControlFacts) => Verdict): PlannedCheck => ({
    area: "control tables",
    name,
    run: async () => look(await facts()),
  });
  return [
    check("migrations", ({ pendingMigrations }) => {
      const named = listed("MIGRATION_PENDING", pendingMigrations, { expected: "done", got: "not run", fix: migrate });
      return { said: "all done", findings: named((name) => `migration ${name}`) };
    }),
    check("tables", ({ missingRelations }) => {
      const fix = `${migrate}; where one was dropped, restore it from a backup`;
      const named = listed("CONTROL_TABLE_MISSING", missingRelations, {
        expected: "a table or view",
        got: "none",
        fix,
      });
      return { said: "all there", findings: named((name) => name) };
    }),
    check("columns", ({ missingColumns, requiredColumns }) => ({
      said: "all there",
      findings: [
        ...listed("CONTROL_COLUMN_MISSING", missingColumns, {
          expected: "a column",
          got: "none",
          fix: "add it, see docs/reference/control-tables.md for its type",
        })((name) => name),
        ...listed("CONTROL_COLUMN_REQUIRED", requiredColumns, {
          expected: "null allowed, or a default",
          got: "not null without a default",
          fix: "give it a default, or drop its not null",
        })((name) => name),
      ],
    })),
  ];
}

/** A finding for every name. */
function listed(code: FindingCode, names: readonly string[], rest: Pick<Finding, "got" | "expected" | "fix">) {
  return (where: (name: string) => string): Finding[] =>
    names.map((name) => finding(code, { where: where(name), ...rest }));
}
