import { describe, expect, test } from "vitest";
import { renderDoctor } from "../../lib/cli/doctor-command.ts";
import { progressLine } from "../../lib/cli/follow.ts";
import { runCli } from "../../lib/cli/main.ts";
import { exitCodes } from "../../lib/cli/outcomes.ts";
import { renderPreview } from "../../lib/cli/preview-command.ts";
import { renderErrors, renderLoad } from "../../lib/cli/render-load.ts";
import { renderBatches, renderStatus } from "../../lib/cli/status-command.ts";
import { plain, textTable } from "../../lib/cli/terminal.ts";
import { BlockedError } from "../../lib/core/errors.ts";
import type { BatchStatus } from "../../lib/core/operations.ts";
import { noCounts, type TableResult } from "../../lib/core/report.ts";
import { recordIo } from "./support.ts";

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

const loaded: BatchStatus = {
  batch_id: "batch_20260101_120000",
  state: "loaded",
  health: "OK",
  epoch: 1,
  reason_code: null,
  reason: null,
  tables: [],
  attempts: [],
  outcomes: [],
  healings: [],
  report_key: null,
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

describe("X04: what comes from outside cannot steer the terminal", () => {
  const nasty = 'a"\u001b[2J\u009b\r\nb';
  const escaped = String.raw`a"\u001b[2J\u009b\r\nb`;

  /** Lines that are ours, and nothing else of the kind; the text stands in it that often. */
  function expectShown(text: string, times: number): void {
    expect(text.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    expect(text.split(escaped)).toHaveLength(times + 1);
    expect(text).not.toContain("\nb");
  }

  const reject = {
    table: nasty,
    key: nasty,
    record: 1,
    field: nasty,
    code: "VALUE_TYPE",
    got: nasty,
    expected: nasty,
    constraint: nasty,
  };

  test("errors", () => {
    const fragments = [{ key: nasty, table: nasty, code: "JSON_SYNTAX", message: nasty }];
    const errors = { error: { code: "", message: "" }, fragments, rejected: 1, rejected_records: [reject] };
    expectShown(renderErrors(errors), 7);
    const long = { ...errors, fragments: [{ ...reject, message: "x".repeat(10_000) }] };
    expect(renderErrors(long).length).toBeLessThan(3_000);
  });

  test("a load", () => {
    const tables = { [nasty]: { ...table, warnings: [nasty] } };
    const report = { batch_id: nasty, epoch: 1, attempt: 1, status: "success" as const, tables, duplicate_of: [nasty] };
    const seconds = { total_records: 1, total_time_seconds: 1 };
    expectShown(renderLoad({ ...table, ...report, ...seconds, report_key: `${nasty}/x` }, plain), 7);
  });

  test("a preview", () => {
    const planned = {
      ...noCounts,
      update_strategy: "upsert" as const,
      conflict_resolution: "merge" as const,
      natural_key: [nasty],
      fields: [nasty],
      updated_fields: { [nasty]: 1 },
      immutable_attempts: { [nasty]: 1 },
      sample_record: null,
      fragments: [],
    };
    const preview = {
      ...noCounts,
      batch_id: "b",
      run_id: "r",
      status: "preview" as const,
      would_be: "failed" as const,
      tables: { [nasty]: planned },
      errors: [{ code: "JSON_SYNTAX", message: nasty }],
      rejects: [{ ...reject, code: "VALUE_TYPE" as const, raw: null }],
    };
    expectShown(renderPreview(preview, plain), 12);
  });

  test("states of batches", () => {
    const queued = { table: nasty, state: nasty, validation_status: nasty, approved: true, approved_by: nasty };
    const status = {
      ...loaded,
      reason_code: "X",
      reason: nasty,
      tables: [{ ...queued, approved_at: null, loaded_at: null, staged_records: 1 }],
      attempts: [{ state: "failed", source: nasty, started_at: null, ended_at: null, code: nasty, message: nasty }],
      healings: [{ kind: "LEASE_EXPIRED", detail: nasty, healed_at: "2026-01-01T12:00:00Z" }],
      report_key: nasty,
    } as unknown as BatchStatus;
    expectShown(renderStatus(status, plain), 10);
    expectShown(progressLine({ ...status, state: "loading" }), 1);
    const summary = { batch_id: nasty, state: nasty, reason_code: nasty, reason: null, tables: 1, approved_tables: 1 };
    expectShown(renderBatches([{ ...summary, in_staging: true, updated_at: null }]), 3);
  });

  test("doctor", () => {
    const found = {
      code: "X",
      severity: "error" as const,
      what: nasty,
      where: nasty,
      got: nasty,
      expected: nasty,
      fix: nasty,
    };
    const check = { area: "bucket" as const, name: nasty, said: nasty };
    const checks = [
      { ...check, outcome: "error" as const, findings: [found] },
      { ...check, outcome: "ok" as const, findings: [] },
      { ...check, outcome: "skipped" as const, findings: [] },
    ];
    const report = { status: "findings" as const, errors: 1, warnings: 0, loader: null, checks };
    expectShown(renderDoctor(report, plain), 10);
  });

  test("faults", async () => {
    const io = recordIo("/");
    const connect = () => Promise.reject(new BlockedError("S3_ACCESS", nasty));
    expect(await runCli(["batches"], io, connect)).toBe(exitCodes.blocked);
    expect(io.stderr()).toBe(`S3_ACCESS: ${escaped}`);
  });
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
  const healings = [{ kind: "LEASE_EXPIRED", detail: "the lease ended (loading)", healed_at: "2026-01-01T12:00:00Z" }];
  const [title, line] = renderStatus({ ...loaded, healings }, plain)
    .split("\n")
    .slice(-2);
  expect(title).toBe("healed by the sweep");
  expect(line).toMatch(/^ +2026-01-01 .*LEASE_EXPIRED: the lease ended \(loading\)$/);
  expect(renderStatus(loaded, plain)).not.toContain("healed");
});
