import fc from "fast-check";
import { expect, test } from "vitest";
import { toJsonText } from "../../../lib/core/json.ts";
import { verdictOf } from "./column-types.ts";

const anyText = fc.string({ unit: "binary", maxLength: 20 });

test("a text is kept as it is, or refused for a NUL", () => {
  fc.assert(
    fc.property(anyText, (text) => verdictOf("text", text) === (text.includes("\0") ? "VALUE_ENCODING" : text)),
    { numRuns: 500 },
  );
});

test("varchar(n) counts characters, not UTF-16 units", () => {
  fc.assert(
    fc.property(
      anyText.filter((text) => !text.includes("\0")),
      fc.integer({ min: 1, max: 12 }),
      (text, length) => {
        return verdictOf(`varchar(${length})`, text) === (Array.from(text).length > length ? "VALUE_TOO_LONG" : text);
      },
    ),
    { numRuns: 500 },
  );
});

test("an array literal reads back element by element", () => {
  const element = fc.option(anyText.filter((text) => !text.includes("\0")));
  fc.assert(
    fc.property(fc.array(element, { maxLength: 6 }), (items) => {
      expect(readArrayLiteral(verdictOf("text[]", items))).toEqual(items);
    }),
    { numRuns: 500 },
  );
});

test("json without NUL is kept", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      if (value === null || JSON.stringify(value).includes("\\u0000")) return;
      expect(verdictOf("json", value as never)).toBe(toJsonText(value as never));
    }),
    { numRuns: 300 },
  );
});

test("a uuid has one spelling", () => {
  fc.assert(
    fc.property(fc.uuid(), fc.boolean(), fc.boolean(), (uuid, braces, hyphens) => {
      const bare = hyphens ? uuid : uuid.replaceAll("-", "");
      return verdictOf("uuid", braces ? `{${bare.toUpperCase()}}` : bare) === uuid;
    }),
  );
});

test("bytes survive both encodings", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const [hex, base64] = [Buffer.from(bytes).toString("hex"), Buffer.from(bytes).toString("base64")];
      return (
        verdictOf("bytea", hex) === `\\x${hex}` &&
        verdictOf("bytea", base64, { byteaEncoding: "base64" }) === `\\x${hex}`
      );
    }),
  );
});

/** One dimension, by the rules of PostgreSQL's manual, section 8.15.6. */
function readArrayLiteral(literal: string): (string | null)[] {
  const items: (string | null)[] = [];
  for (const [, quoted, bare] of literal.slice(1, -1).matchAll(/(?:"((?:[^"\\]|\\[\s\S])*)"|([^",]+))(?:,|$)/g)) {
    if (bare !== undefined) items.push(bare.toUpperCase() === "NULL" ? null : bare);
    else items.push((quoted as string).replace(/\\([\s\S])/g, "$1"));
  }
  return items;
}
