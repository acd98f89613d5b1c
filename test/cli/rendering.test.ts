import { expect, test } from "vitest";
import { plain } from "../../lib/cli/cli-io.ts";
import { progressLine } from "../../lib/cli/progress.ts";
import { renderErrors, renderLoad } from "../../lib/cli/render-load.ts";
import { renderBatches, renderStatus } from "../../lib/cli/render-status.ts";
import { clip, textTable } from "../../lib/cli/text-table.ts";
import type { BatchStatus } from "../../lib/core/operations.ts";
import { noCounts, type TableResult } from "../../lib/core/report.ts";

const table: TableResult = {
  ...noCounts,
  records_read: 1_200,
  records_loaded: 1_000,
  records_skipped: 200,
  status: "success",
  load_time_seconds: 0.123,
  s3_key: null,
  values_nulled: 0,
  immutable_attempts: {},
  warnings: ["DUPLICATE_KEYS: 200 records have keys that are stored already"],
};

test("a load is a table with its sum, warnings, report and archive", () => {
  const { status: _, ...counts } = table;
  const result = {
    ...counts,
    batch_id: "batch_20260101_120000",
    epoch: 1,
    attempt: 2,
    status: "success" as const,
    tables: { blood: table },
    total_records: 1_200,
    total_time_seconds: 1.5,
    duplicate_of: [],
    report_key: "loaded/batch_20260101_120000/load_result.json",
  };
  expect(renderLoad(result, plain)).toBe(`batch_20260101_120000: success (epoch 1, attempt 2)

table   read  inserted  updated  unchanged  skipped  collapsed  rejected  seconds
-----  -----  --------  -------  ---------  -------  ---------  --------  -------
blood  1,200     1,000        0          0      200          0         0     0.12
total  1,200     1,000        0          0      200          0         0     1.50

warnings
  blood: DUPLICATE_KEYS: 200 records have keys that are stored already

report   loaded/batch_20260101_120000/load_result.json
archive  loaded/batch_20260101_120000/`);
});

test("rejected records: the first ten, and how many more there are", () => {
  const reject = { table: "blood", key: "k.json", field: "volume_ml", code: "VALUE_TYPE", constraint: null };
  const records = Array.from({ length: 12 }, (_, index) => ({
    ...reject,
    record: index + 1,
    got: '"12,5"',
    expected: "a number",
  }));
  const text = renderErrors({
    error: { code: "", message: "" },
    fragments: [],
    rejected: 12,
    rejected_records: records,
  });
  expect(text.split("\n").slice(0, 3)).toEqual([
    "k.json record 1: VALUE_TYPE",
    '  volume_ml got "12,5"',
    "  expected a number",
  ]);
  expect(text.split("\n")).toHaveLength(31);
  expect(text).toMatch(/\.\.\. and 2 more$/);
});

test("a value cannot steer the terminal, nor fill it", () => {
  expect(clip("\u001b[2Jgone\r\n", 20)).toBe(" [2Jgone ");
  expect(clip("x".repeat(30), 10)).toBe("xxxxxxx...");
});

test("coloured cells count as wide as they look", () => {
  const rows = [
    ["\u001b[31mred\u001b[39m", "1"],
    ["long one", "20"],
  ];
  const lines = textTable([{ title: "a" }, { title: "b", align: "right" }], rows).split("\n");
  expect(lines[2]).toBe("\u001b[31mred\u001b[39m        1");
  expect(lines[3]).toBe("long one  20");
});

test("progress says how far staging is", () => {
  const loading = {
    state: "loading",
    tables: [
      { table: "blood", staged_records: 4_000 },
      { table: "dna", staged_records: 0 },
    ],
  };
  expect(progressLine(loading as unknown as BatchStatus)).toBe("staged 4,000 records: blood 4,000");
  expect(progressLine({ ...loading, state: "committed" } as unknown as BatchStatus)).toMatch(/^committed/);
  expect(progressLine(null)).toBe("working");
});

test("no batch is said in words", () => {
  expect(renderBatches([])).toBe("no batch is known, and none lies in staging");
});

test("a status lists what the sweep healed, with its time", () => {
  const status: BatchStatus = {
    batch_id: "batch_20260101_120000",
    state: "loaded",
    health: "OK",
    epoch: 1,
    reason_code: null,
    reason: null,
    tables: [],
    attempts: [],
    outcomes: [],
    healings: [{ kind: "LEASE_EXPIRED", detail: "the lease ended (loading)", healed_at: "2026-01-01T12:00:00Z" }],
    report_key: null,
  };
  const [title, line] = renderStatus(status, plain).split("\n").slice(-2);
  expect(title).toBe("healed by the sweep");
  expect(line).toMatch(/^ +2026-01-01 .*LEASE_EXPIRED: the lease ended \(loading\)$/);
  expect(renderStatus({ ...status, healings: [] }, plain)).not.toContain("healed");
});
