import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaultConversionOptions } from "../../lib/core/contract.ts";
import type { JsonValue } from "../../lib/core/json.ts";
import { conversionOf } from "../../lib/targets/postgres/encode/conversion-of.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { columnOfType, columnTypeOf, ownTypesSql } from "./encode/column-types.ts";
import { verdicts } from "./encode/verdicts.ts";
import { garbageOf } from "./garbage.ts";
import { shortAddress } from "./nested-samples.ts";
import { openSession, type Session, storeTexts, validOnes } from "./values-support.ts";

/** Thousands of nearly valid texts a type: whatever is let through is valid, means the same, and stays what it is. */

let database: TestDatabase;
let session: Session;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.sql.unsafe(ownTypesSql);
  session = await openSession(database);
  await session.sql.unsafe("set intervalstyle = 'iso_8601'");
});
afterAll(async () => {
  await session.close();
  await database.close();
});

const count = 2_000;
const shownFaults = 5;
/** An array's text is no input for it; its elements are tested one by one. */
const types = [...new Set(verdicts.map(({ type }) => type))].filter((type) => !type.endsWith("[]"));

const hexDigits = (text: string): string => text.toLowerCase().replaceAll(/[^\da-f]/g, "");
const lastDigits = (text: string): string => /\.(\d+)/.exec(text)?.[1]?.replace(/0+$/, "") ?? "";
/** Sign, digits without the zeros that say nothing, and the power of ten behind the last of them. */
function plainNumber(text: string): string {
  const [, sign, whole = "", fraction = "", exponent = 0] = /^([-+]?)(\d*)\.?(\d*)(?:e([-+]?\d+))?$/i.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const zeros = /0*$/.exec(digits)?.[0].length ?? 0;
  return digits === ""
    ? "0"
    : `${sign}${digits.slice(0, digits.length - zeros)}e${Number(exponent) - fraction.length + zeros}`;
}
const alike = (reduce: (text: string) => string) => (written: string, stored: string) =>
  reduce(written) === reduce(stored);

/** Whether a stored text means what was written, by other means than the conversion's; the text itself by default. */
const meanings: Readonly<Record<string, (written: string, stored: string) => boolean>> = {
  int2: alike(plainNumber),
  int4: alike(plainNumber),
  int8: alike(plainNumber),
  oid: alike(plainNumber),
  numeric: alike(plainNumber),
  float4: (written, stored) => Math.fround(Number(written)) === Math.fround(Number(stored)),
  float8: (written, stored) => Number(written) === Number(stored),
  bool: (written, stored) => ["true", "yes", "t", "1"].includes(written.toLowerCase()) === (stored === "t"),
  bpchar: (written, stored) => stored.startsWith(written) && stored.slice(written.length).trim() === "",
  time: alike(lastDigits),
  timetz: alike(lastDigits),
  timestamp: alike(lastDigits),
  timestamptz: alike(lastDigits),
  interval: alike(lastDigits),
  uuid: alike(hexDigits),
  bytea: (written, stored) => hexDigits(written.replace(/^\\x/, "")) === hexDigits(stored.slice(2)),
  macaddr: alike(hexDigits),
  macaddr8: alike(hexDigits),
  inet: alike(shortAddress),
  cidr: alike(shortAddress),
  json: (written, stored) => JSON.parse(stored) === written,
  jsonb: (written, stored) => JSON.parse(stored) === written,
};

test.each(types)("C3: whatever text is let through as %s is valid, means the same and stays", async (type) => {
  const columnType = columnTypeOf(type);
  const { convert, exact } = conversionOf(columnOfType(columnType), defaultConversionOptions);
  const texts = [...new Set(fc.sample(garbageOf(type), count))];
  const taken = texts.flatMap((written) => {
    const text = convert(written);
    return typeof text === "string" ? [{ written, text }] : [];
  });
  const valid = await validOnes(
    session.sql,
    type,
    taken.map(({ text }) => text),
  );
  expect(taken.filter((_, index) => exact && !valid[index]).slice(0, shownFaults)).toEqual([]);
  const sent = taken.filter((_, index) => valid[index]);
  expect(sent.length).toBeGreaterThan(0);
  const stored = await store(sent.map(({ text }) => text));
  const means = columnType.range === null ? (meanings[columnType.name] ?? Object.is) : () => true;
  const changed = sent.map(({ written }, index) => ({ written, stored: stored[index] ?? "" }));
  expect(changed.filter((one) => !means(one.written, one.stored)).slice(0, shownFaults)).toEqual([]);

  const isJson = columnType.name.startsWith("json");
  const again = stored.map((text) => convert(isJson ? (JSON.parse(text) as JsonValue) : text));
  const refused = stored.filter((_, index) => typeof again[index] !== "string");
  expect(refused.slice(0, shownFaults)).toEqual([]);
  expect(await store(again as string[])).toEqual(stored);

  function store(values: readonly string[]): Promise<string[]> {
    return storeTexts(session.sql, { type }, values);
  }
});
