import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaultConversionOptions } from "../../lib/core/contract.ts";
import type { Conversion } from "../../lib/targets/postgres/encode/conversion.ts";
import { conversionOf } from "../../lib/targets/postgres/encode/conversion-of.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { columnOfType, columnTypeOf, ownTypesSql } from "./encode/column-types.ts";
import { nestedSamples } from "./nested-samples.ts";
import { numberSamples } from "./number-samples.ts";
import type { Sample } from "./sample.ts";
import { timeSamples } from "./time-samples.ts";
import { openSession, type Session, storeTexts } from "./values-support.ts";

/** Thousands of random valid values a type: converted, copied into the server, read back. */

let database: TestDatabase;
let session: Session;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.sql.unsafe(ownTypesSql);
  session = await openSession(database);
});
afterAll(async () => {
  await session.close();
  await database.close();
});

const count = 2_000;
const shownFaults = 5;
const listCount = 500;
const longestList = 4;
/** Every element as text, null as null. */
const elements = `coalesce((
  select json_agg(case when element is not null then concat(element) end order by place)
  from unnest(value) with ordinality as u(element, place)
), '[]')`;

const everySample = [...numberSamples, ...timeSamples, ...nestedSamples];

function conversionFor(type: string): Conversion["convert"] {
  return conversionOf(columnOfType(columnTypeOf(type)), defaultConversionOptions).convert;
}

test.each(everySample)("C2: every value of $type comes back", async ({ type, values, show }) => {
  const convert = conversionFor(type);
  const samples = fc.sample(values, count);
  const converted = samples.map(({ input }) => convert(input));
  const refused = samples.filter((_, index) => typeof converted[index] !== "string");
  expect(refused.slice(0, shownFaults)).toEqual([]);
  const stored = await storeTexts(session.sql, { type, ...(show ? { show } : {}) }, converted as string[]);
  const wrong = samples.flatMap((sample, index) => {
    const text = stored[index] ?? "";
    return isSame(sample, text) ? [] : [{ ...sample, text }];
  });
  expect(wrong.slice(0, shownFaults)).toEqual([]);
});

function isSame({ same }: Sample, stored: string): boolean {
  return typeof same === "string" ? same === stored : same(stored);
}

test.each(everySample.filter(({ type }) => !type.endsWith("[]")))(
  "C2, V20: every value of $type comes back in an array, and so does null",
  async ({ type, values }) => {
    const convert = conversionFor(`${type}[]`);
    const lists = fc.sample(fc.array(fc.option(values), { maxLength: longestList }), listCount);
    const converted = lists.map((list) => convert(list.map((sample) => sample?.input ?? null)));
    expect(converted.filter((text) => typeof text !== "string").slice(0, shownFaults)).toEqual([]);
    const stored = await storeTexts(session.sql, { type: `${type}[]`, show: elements }, converted as string[]);
    const wrong = lists.flatMap((list, index) => {
      const texts = JSON.parse(stored[index] ?? "[]") as (string | null)[];
      const isWhole = list.every((sample, at) => {
        const text = texts[at] ?? null;
        return sample === null || text === null ? sample === text : isSame(sample, text);
      });
      return isWhole && texts.length === list.length ? [] : [{ list, texts }];
    });
    expect(wrong.slice(0, shownFaults)).toEqual([]);
  },
);
