import { describe, expect, test } from "vitest";
import { hex, openMarks, openSearcher } from "./marks.ts";
import { recordOutput } from "./traces.ts";

/** The searcher itself: a leak that it does not see would make every other test of the canary worthless. */

const marks = openMarks();
const value = marks.text("value");
const secret = marks.word("secret");
const find = openSearcher(marks.list);

const leaks: readonly (readonly [form: string, write: (text: string) => string])[] = [
  ["plain", (text) => text],
  ["in JSON", (text) => JSON.stringify({ text })],
  ["in JSON in JSON", (text) => JSON.stringify({ cause: JSON.stringify({ text }) })],
  ["in a URL", (text) => `https://x/?y=${encodeURIComponent(text)}&z`],
  ["in hex", (text) => `\\x00${Buffer.from(text).toString("hex")}ff`],
  ["in base64", (text) => Buffer.from(text).toString("base64")],
  ["in base64", (text) => Buffer.from(`a${text}bc`).toString("base64")],
  ["in base64", (text) => Buffer.from(`ab${text}`).toString("base64url")],
];

describe("the searcher", () => {
  test.each(leaks)("finds what is written %s", (form, write) => {
    expect(find(`before ${write(value)} after`)).toContainEqual({ mark: "value", form });
    expect(find(`before ${write(secret)} after`).map(({ mark }) => mark)).toContain("secret");
  });

  test("finds a line of a log in what a process writes", async () => {
    const { written } = await recordOutput(async () => {
      process.stdout.write(JSON.stringify({ level: "INFO", message: `stored ${secret}` }));
      console.error({ value });
    });
    const found = find(written).map(({ mark }) => mark);
    expect(new Set(found)).toEqual(new Set(["secret", "value"]));
  });

  test("finds nothing where nothing is", () => {
    expect(find(`canary-${hex(8)} ${value.slice(1)} ${secret.slice(0, -1)}`)).toEqual([]);
  });

  test("refuses a mark that chance would find", () => {
    expect(() => openSearcher([{ name: "short", text: "1234" }])).toThrow("mark short");
  });
});
