import fc from "fast-check";
import { expect, test } from "vitest";
import { toCopyField, toCopyFields } from "../../../lib/targets/postgres/encode/copy-text.ts";

const letters: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/** The server's own reading of a line: split at tabs, `\N` is null, then escapes. */
function readFields(line: string): (string | null)[] {
  const character = (_: string, letter: string): string => letters[letter] ?? letter;
  return line.split("\t").map((field) => (field === "\\N" ? null : field.replace(/\\([\s\S])/g, character)));
}

test("null and what only looks like it differ, and no value can end the data", () => {
  expect(toCopyFields([null, "", "\\N", "\\.", "a\tb", "a\\tb", "x\r\ny"])).toBe(
    "\\N\t\t\\\\N\t\\\\.\ta\\tb\ta\\\\tb\tx\\r\\ny",
  );
  expect(toCopyField("plain 🜁")).toBe("plain 🜁");
});

test("every list of texts is read back as it was, on one line", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom("\\", "\t", "\n", "\r", "N", ".", "\b", "\v", "a") }),
  );
  fc.assert(
    fc.property(fc.array(fc.option(text), { minLength: 1 }), (values) => {
      const line = toCopyFields(values);
      expect(line).not.toMatch(/[\n\r]/);
      expect(readFields(line)).toEqual(values);
    }),
    { seed: 1 },
  );
});
