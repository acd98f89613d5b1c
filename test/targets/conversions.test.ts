import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExactNumber } from "../../lib/core/json.ts";
import { quoteConstant } from "../../lib/core/sql-names.ts";
import { moodLabels } from "../core/conversions/column-types.ts";
import { verdicts } from "../core/conversions/verdicts.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

/** Every example of the conversions, asked of the real server, whatever its session happens to be set to. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.sql.unsafe(`create type mood as enum (${moodLabels.map(quoteConstant).join(", ")})`);
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

test("what is refused as out of range, the server refuses, too, but for a leap second that it would move", async () => {
  const refused = verdicts.flatMap(({ type, input, verdict }) => {
    const text =
      input instanceof ExactNumber ? input.text : ["string", "number"].includes(typeof input) ? `${input}` : null;
    return "code" in verdict && verdict.code === "VALUE_RANGE" && text !== null ? [{ type, text }] : [];
  });
  expect(refused.length).toBeGreaterThan(20);
  const loose: string[] = [];
  for (const { type, text } of refused) {
    const [row] = await database.sql`select pg_input_is_valid(${text}, ${type}) as valid`;
    if (row?.["valid"]) loose.push(`${type} ${text.slice(0, 40)}`);
  }
  expect(loose).toEqual(["time 10:20:60.5"]);
});
