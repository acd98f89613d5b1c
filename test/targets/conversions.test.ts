import type postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isStorable, scalarText } from "../../lib/targets/postgres/encode/text-like.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { ownTypesSql } from "./encode/column-types.ts";
import { serverDifferences } from "./encode/server-differences.ts";
import { type Verdict, varies } from "./encode/verdict.ts";
import { verdicts } from "./encode/verdicts.ts";
import { openSession, storeTexts, validOnes } from "./values-support.ts";

/** Every example of the conversions, asked of the real server, whatever its session happens to be set to. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.sql.unsafe(ownTypesSql);
});
afterAll(() => database.close());

const accepted = verdicts.flatMap(({ type, verdict }) => ("text" in verdict ? [{ type, ...verdict }] : []));
const types = [...new Set(accepted.map(({ type }) => type))];

/** Dates, zone and intervals of a session that reads them while another shows them as the verdicts do. */
const sessions = [
  ["ISO, MDY", "UTC", "postgres"],
  ["German", "Asia/Kolkata", "sql_standard"],
  ["SQL, DMY", "America/New_York", "iso_8601"],
  ["Postgres, YMD", "Pacific/Apia", "postgres_verbose"],
] as const;

describe.each(sessions)("in a session with %s, %s, %s", (dateStyle, zone, intervalStyle) => {
  test("every text is valid and stored as expected", async () => {
    const sql = await database.connect({ max: 1 }).reserve();
    const settings = (styles: readonly string[]): string =>
      `set datestyle = '${styles[0]}'; set timezone = '${styles[1]}'; set intervalstyle = '${styles[2]}'`;
    const wrong: unknown[] = [];
    for (const type of types) {
      const rows = accepted.filter((row) => row.type === type);
      const texts = rows.map(({ text }) => text);
      await sql.unsafe(settings([dateStyle, zone, intervalStyle]));
      await sql.unsafe("drop table if exists held");
      await sql.unsafe(`create temp table held (place int, valid bool, value ${type})`);
      await sql`
        insert into held
        select place, pg_input_is_valid(text, ${type}),
               case when pg_input_is_valid(text, ${type}) then text::${sql.unsafe(type)} end
        from unnest(${texts}::text[]) with ordinality as t(text, place)
      `;
      await sql.unsafe(settings(sessions[0]));
      const stored = await sql<{ valid: boolean; shown: string }[]>`
        select valid, concat(value) as shown from held order by place
      `;
      for (const [place, { valid, shown }] of stored.entries()) {
        const row = rows[place];
        if (!valid || shown !== row?.stored) wrong.push({ ...row, valid, shown });
      }
    }
    sql.release();
    expect(wrong).toEqual([]);
  });
});

/** The example as a program would pass it on that leaves everything to the server; null where it has no such text. */
function plainTextOf({ input }: Verdict): string | null {
  const text = scalarText(input);
  return text !== null && isStorable(text) ? text : null;
}

/** What the server stores for plain texts in columns of the type, null where it refuses. */
async function serversOwn(
  sql: postgres.ReservedSql,
  type: string,
  texts: readonly string[],
): Promise<(string | null)[]> {
  const valid = await validOnes(sql, type, texts);
  const stored = await storeTexts(
    sql,
    { type },
    texts.filter((_, index) => valid[index]),
  );
  return valid.map((isValid) => (isValid ? (stored.shift() ?? null) : null));
}

test("C2: the server, left to itself, says the same of every plain text, but for the differences that are listed", async () => {
  const { sql, close } = await openSession(database);
  const unlisted: unknown[] = [];
  const used = new Set<object>();
  for (const type of new Set(verdicts.map((verdict) => verdict.type))) {
    const rows = verdicts.filter((row) => row.type === type && plainTextOf(row) !== null);
    const servers = await serversOwn(
      sql,
      type,
      rows.map((row) => plainTextOf(row) ?? ""),
    );
    for (const [index, row] of rows.entries()) {
      const [stored, text] = [servers[index], plainTextOf(row)];
      if (stored === ("text" in row.verdict ? row.verdict.stored : null)) continue;
      const listed = serverDifferences.find((one) => one.type === type && one.text === text);
      if (listed) used.add(listed);
      if (!listed || (listed.stored !== varies && listed.stored !== stored)) unlisted.push({ ...row, text, stored });
    }
  }
  await close();
  expect(unlisted).toEqual([]);
  const idle = serverDifferences.filter((one) => !used.has(one) && one.stored !== varies);
  expect(idle).toEqual([]);
});
