import { describe, expect, test } from "vitest";
import { parseManifest, refuseLargeManifest } from "../../lib/core/manifest.ts";
import { largestText } from "../../lib/core/objects.ts";

const place = { batchId: "batch_20260101_000000", table: "blood" };
const folder = "staging/validated/batch_20260101_000000/blood/";

const parse = (...keys: readonly string[]) =>
  parseManifest(JSON.stringify({ fragments: keys.map((key) => ({ key })) }), place);

describe("X02: parts of a manifest", () => {
  test("are named below the table's folder, or by their whole keys", () => {
    const { parts, fault } = parse("part-1.json", `${folder}part +1%20é.ndjson.gz`, "100%.jsonl");
    expect(fault).toBeNull();
    const names = ["part-1.json", "part +1%20é.ndjson.gz", "100%.jsonl"];
    expect(parts.map(({ key }) => key)).toEqual(names.map((name) => folder + name));
  });

  test.each([
    "..",
    "../part-1.json",
    "/part-1.json",
    "other/part-1.json",
    `${folder}deeper/part-1.json`,
    "%2e%2e",
    "%2E%2e%2Fpart-1.json",
    "part%00.json",
    "part%0d%0a.json",
    "a\u0000b",
    "a\u0000b.json",
    "a\r\nb",
    "a\r\nb.json",
    "a\u001b[2J.json",
    "a\u009b2J.json",
    "part-1.json\n",
    "_SUCCESS",
    "part-1.txt",
    `${"x".repeat(300)}.json`,
  ])("%j is none", (key) => {
    const { parts, fault } = parse("part-1.json", key);
    expect(parts).toEqual([]);
    expect(fault).toMatchObject({ code: "MANIFEST_INVALID" });
    expect(fault?.message).toMatch(/^table blood: _manifest\.json: fragments\.1: /);
    expect(fault?.message).not.toMatch(/\p{Cc}/u);
    expect(fault?.message.length).toBeLessThan(400);
  });

  test("are named once", () => {
    const { fault } = parse("part-1.json", "part-2.json", `${folder}part-1.json`);
    expect(fault?.code).toBe("MANIFEST_INVALID");
    expect(fault?.message).toMatch(/fragments\.2: the key is fragments\.0 again; name it once$/);
  });
});

test("a member that nobody knows is shown escaped and cut", () => {
  const fragments = [{ key: "part-1.json" }];
  const { fault } = parseManifest(JSON.stringify({ fragments, [`\u0000\n${"x".repeat(5_000)}`]: 1 }), place);
  expect(fault?.code).toBe("MANIFEST_INVALID");
  expect(fault?.message).not.toMatch(/\p{Cc}/u);
  expect(fault?.message.length).toBeLessThan(400);
});

test("one of more than 64 MiB is refused by its size", () => {
  expect(refuseLargeManifest(largestText, place)).toBeNull();
  expect(refuseLargeManifest(largestText + 1, place)?.fault).toEqual({
    code: "MANIFEST_INVALID",
    message:
      "table blood: _manifest.json: expected at most 67108864 bytes, got 67108865; name every part once, and nothing else",
  });
});
