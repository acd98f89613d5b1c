import postgres from "postgres";
import type { Check, Diagnosis } from "../../lib/core/doctor.ts";
import type { Flow } from "../support/flow.ts";

export async function examine(flow: Flow): Promise<Diagnosis> {
  return (await flow.invoke("operate", { operation: "doctor" })) as Diagnosis;
}

/** `CODE where` of everything that was found. */
export function namesOf({ checks }: Pick<Diagnosis, "checks">): string[] {
  return checks.flatMap(({ findings }) => findings.map(({ code, where }) => `${code} ${where}`)).toSorted();
}

export const skippedOf = ({ checks }: Diagnosis): Check[] => checks.filter(({ outcome }) => outcome === "skipped");

/** The superuser in the flow's database. */
export function openAdmin({ database: { server, name } }: Flow): postgres.Sql {
  return postgres(server.adminUrl, { database: name, max: 1, onnotice: () => {} });
}

/** One statement after the other, `{db}` in them being the database; a session that only reads may still do it. */
export async function runStatements(sql: postgres.Sql, flow: Flow, statements: readonly string[]): Promise<void> {
  for (const statement of statements) {
    await sql.begin("read write", (tx) => tx.unsafe(statement.replaceAll("{db}", flow.database.name)));
  }
}
