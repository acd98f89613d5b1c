import fc from "fast-check";
import { expect } from "vitest";
import { openSql } from "../../../lib/ledger/connection.ts";
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

/** Takes part of the cases and the seed from ORACLE_CASES, ORACLE_SEED and, to replay a failure, ORACLE_PATH. */
const casesPerWorld = 5;

export async function holdsEverywhere({ relations, cases, seed }: Campaign): Promise<number> {
  const database = await openTestDatabase();
  const { host, port, user, password } = database.server;
  const sql = openSql({ host, port, user, database: database.name, password: () => password, tls: null });
  await database.sql.unsafe(typesSql);
  const tx = await sql.reserve();
  let tried = 0;
  let failed = false;
  try {
    const world = worlds(relations);
    await fc.assert(
      fc.asyncProperty(world, async (drawn) => {
        // Enough was tried; only a failure that is being shrunk goes on.
        if (tried >= cases && !failed) return;
        try {
          await runWorld(tx, drawn, (contents, ran) => {
            tried += 1;
            compare(drawn, contents, ran);
          });
        } catch (error) {
          failed = true;
          throw error;
        }
      }),
      { seed, numRuns: cases, ...(path ? { path } : {}) },
    );
  } finally {
    tx.release();
    await sql.end({ timeout: 1 });
    await database.close();
  }
  return tried;
}

const path = process.env["ORACLE_PATH"];

function compare({ tables }: World, contents: Case, { load, preview }: Ran): void {
  const expected = predict({ tables }, contents);
  expect(preview, "the preview against the oracle").toEqual(expected);
  expect(load, "the load against the oracle").toEqual(withoutChangedFields(expected));
}

/** Only a preview names the fields that change. */
function withoutChangedFields({ tables, rejects }: Facts): Facts {
  const facts = Object.entries(tables).map(([name, table]) => [name, { ...table, changedFields: {} }]);
  return { tables: Object.fromEntries(facts), rejects };
}

function worlds(relations: fc.Arbitrary<Relations>): fc.Arbitrary<World> {
  return fc
    .record({ tables: shapes(relations), cases: fc.array(caseChoices, { maxLength: casesPerWorld, size: "max" }) })
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
