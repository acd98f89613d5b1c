import fc from "fast-check";
import { expect } from "vitest";
import { openSession, openSql } from "../../../lib/postgres/connection.ts";
import { openTestDatabase } from "../../support/database.ts";
import { caseChoices, toCase } from "./arbitrary-case.ts";
import { type Relations, shapes } from "./arbitrary-shape.ts";
import { type Facts, predict } from "./oracle.ts";
import { type Ran, runWorld } from "./run-world.ts";
import { createTableSql, fragmentJson, insertSql } from "./sql.ts";
import { typesSql } from "./values.ts";
import type { Case, TableSpec, World } from "./world.ts";

/** Random worlds, each tried on a real server and compared with the oracle. */

export type Campaign = {
  readonly relations: fc.Arbitrary<Relations>;
  /** At least this many cases. */
  readonly cases: number;
  readonly seed: number;
};

const casesPerWorld = 8;
/** Milliseconds; the smallest world that was found by then is shown. */
const shrinkingTime = 60_000;
const path = process.env["ORACLE_PATH"];

/** What has to come up in a campaign of some hundred cases. */
export const allFates = [
  "cases without rejects",
  ...["loaded", "updated", "unchanged", "skipped", "collapsed"].map((fate) => `records_${fate}`),
  ...["KEY_DUPLICATE", "KEY_NULL", "KEY_NOT_UNIQUE", "COLUMN_UNKNOWN", "COLUMN_AMBIGUOUS", "VALUE_TYPE", "VALUE_RANGE"],
  ...["VALUE_TOO_LONG", "VALUE_PRECISION_LOSS", "VALUE_NOT_NULL", "CONSTRAINT_CHECK", "CONSTRAINT_UNIQUE"],
] as const;

/** How often the oracle said what: a campaign that never rejects or updates anything shows nothing. */
export type Seen = Readonly<Record<string, number>>;

export async function holdsEverywhere({ relations, cases, seed }: Campaign): Promise<Seen> {
  const database = await openTestDatabase();
  const { host, port, user, password } = database.server;
  const sql = openSql({ host, port, user, database: database.name, password: () => password, tls: null });
  await database.sql.unsafe(typesSql);
  const { tx, release } = await openSession(sql);
  const seen: Record<string, number> = { cases: 0 };
  let failedAt: number | null = null;
  try {
    const world = worlds(relations);
    await fc.assert(
      fc.asyncProperty(world, async (drawn) => {
        // Enough was tried, or a failure was shrunk for long enough.
        const isOver = failedAt === null ? (seen["cases"] ?? 0) >= cases : performance.now() - failedAt > shrinkingTime;
        if (isOver) return;
        try {
          await runWorld(tx, drawn, (contents, ran) => {
            const expected = predict(drawn, contents);
            count(seen, expected);
            compare(expected, ran);
          });
        } catch (error) {
          failedAt ??= performance.now();
          throw error;
        }
      }),
      { seed, numRuns: cases, ...(path ? { path } : {}) },
    );
  } finally {
    release();
    await sql.end({ timeout: 1 });
    await database.close();
  }
  return seen;
}

function compare(expected: Facts, { load, preview }: Ran): void {
  if (preview) expect(preview, "the preview against the oracle").toEqual(expected);
  expect(load, "the load against the oracle").toEqual(withoutChangedFields(expected));
}

function count(seen: Record<string, number>, { tables, rejects }: Facts): void {
  const add = (name: string, by = 1): void => {
    if (by > 0) seen[name] = (seen[name] ?? 0) + by;
  };
  add("cases");
  if (rejects.length === 0) add("cases without rejects");
  for (const { counts } of Object.values(tables)) {
    for (const [name, records] of Object.entries(counts)) add(name, records);
  }
  for (const reject of rejects) add(String(JSON.parse(reject)[3]));
}

/** Only a preview names the fields that change. */
function withoutChangedFields({ tables, rejects }: Facts): Facts {
  const facts = Object.entries(tables).map(([name, table]) => [name, { ...table, changedFields: {} }]);
  return { tables: Object.fromEntries(facts), rejects };
}

function worlds(relations: fc.Arbitrary<Relations>): fc.Arbitrary<World> {
  return fc
    .record({ cases: fc.array(caseChoices, { maxLength: casesPerWorld, size: "max" }), tables: shapes(relations) })
    .map(({ tables, cases }) => printable({ tables, cases: cases.map((choices) => toCase(tables, choices)) }));
}

/** A failure shows the world as SQL and JSON, ready to be tried by hand. */
function printable(world: World): World {
  return Object.assign(world, { [fc.toStringMethod]: () => scriptOf(world) });
}

function scriptOf({ tables, cases }: World): string {
  const shown = cases.flatMap((contents, index) => [
    `-- case ${index + 1}`,
    ...tables.map((table) => contentText(table, contents)),
  ]);
  return ["", ...tables.map((table) => `${createTableSql(table)};`), ...shown, ""].join("\n");
}

function contentText(table: TableSpec, contents: Case): string {
  const content = contents[table.name];
  if (!content) return "";
  const fragments = content.fragments.filter(({ length }) => length > 0).map(fragmentJson);
  return [`${insertSql(table, content.stored)};`, `-- ${JSON.stringify(content.contract)}`, ...fragments].join("\n");
}
