import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseContracts } from "../../lib/core/contract.ts";

const faultsOf = (contracts: unknown): readonly string[] =>
  parseContracts(typeof contracts === "string" ? contracts : JSON.stringify(contracts)).faults;

describe("parseContracts", () => {
  test("fills in the defaults", () => {
    const { contracts } = parseContracts('{"tables":{"t":{}}}');
    expect(contracts).toEqual({
      commit: "batch",
      tables: {
        t: {
          immutable_fields: [],
          update_strategy: "upsert",
          conflict_resolution: "merge",
          audit_changes: false,
          exclude_fields: ["Id", "created_at", "updated_at"],
          null_values: ["", "NULL", "NA"],
          on_error: "abort",
          unknown_fields: "reject",
          target: "postgres",
          required_fields: [],
          columns: {},
        },
      },
    });
  });

  test("takes the sample", () => {
    const sample = readFileSync(new URL("../../config/tables.json", import.meta.url), "utf8");
    expect(faultsOf(sample)).toEqual([]);
  });

  test("names every fault at once, unknown keys among them", () => {
    const faults = faultsOf({
      tables: {
        a: { natural_keys: ["k"], update_strategy: "overwrite", natural_key: [] },
        b: { conflict_resolution: "newest" },
        c: { unknown_fields: "rescue" },
        d: {
          columns: { x: { timezone: "Mars/Olympus", colour: 1 }, y: { true_values: ["No"] }, z: { true_values: [] } },
        },
        e: { null_values: "NA", required_fields: [""] },
      },
      comit: "batch",
    });
    const expected = [
      /^tables\.a.*natural_keys/,
      /^tables\.a\.update_strategy: /,
      /^tables\.a\.natural_key: /,
      /^tables\.b: conflict_resolution newest needs newer_by/,
      /^tables\.c: unknown_fields rescue needs rescue_column/,
      /^tables\.d\.columns\.x\.timezone: an IANA time zone/,
      /^tables\.d\.columns\.x: .*colour/,
      /^tables\.d\.columns\.y: "no" cannot be among both true_values and false_values/,
      /^tables\.d\.columns\.z\.true_values: /,
      /^tables\.e\.null_values: /,
      /^tables\.e\.required_fields\.0: /,
      /comit/,
    ];
    for (const pattern of expected) expect(faults).toContainEqual(expect.stringMatching(pattern));
    expect(faults).toHaveLength(expected.length);
  });

  test.each([
    ["", "not JSON"],
    ["[]", "expected object"],
    ["null", "expected object"],
    ['{"tables":[]}', "tables"],
  ])("refuses %j without throwing", (text, part) => {
    expect(faultsOf(text).join()).toContain(part);
  });
});
