import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { groupSources, type QueueRow, type SeenVersion, type Source, type TableState } from "../../lib/core/batch.ts";
import { type BatchFacts, type Decision, decideBatch } from "../../lib/core/decide.ts";
import { type ExecutionInput, executionInput } from "../../lib/core/execution.ts";

/** Rules of the decision that hold for every batch, whatever its bucket, queue and ledger look like. */

const batchId = "batch_20260101_000000";
const tables = ["blood", "dna", "subject"] as const;
const table = fc.constantFrom(...tables);
const time = fc.integer({ min: 0, max: 5_000 }).map((milliseconds) => new Date(1_700_000_000_000 + milliseconds));

const source: fc.Arbitrary<Source> = fc
  .record({
    table,
    file: fc.constantFrom(".json", "/part-1.json", "/part-2.json", "/_SUCCESS"),
    version: fc.constantFrom("v1", "v2"),
    isLatest: fc.boolean(),
    origin: fc.constantFrom("staging", "failed", "archive"),
    lastModified: time,
  })
  .map(({ table: name, file, version, isLatest, origin, lastModified }) => {
    const stagedKey = `staging/validated/${batchId}/${name}${file}`;
    const folder = origin === "archive" ? "loaded" : "failed";
    const key = origin === "staging" ? stagedKey : `${folder}/${batchId}/${name}${file}`;
    return {
      object: { key, versionId: version, etag: "e", size: 1, lastModified, isLatest },
      stagedKey,
      origin,
    } as Source;
  });

const queueRow: fc.Arbitrary<QueueRow> = fc.record({
  table,
  status: fc.constantFrom("pending", "validated", "failed", "loading", "loaded", "load_failed"),
  approved: fc.boolean(),
  approvedAt: fc.option(time),
  totalRecords: fc.constant(null),
});

const seenVersion: fc.Arbitrary<SeenVersion> = fc.record({
  key: fc
    .tuple(table, fc.constantFrom(".json", "/part-1.json"))
    .map(([name, file]) => `staging/validated/${batchId}/${name}${file}`),
  version: fc.constantFrom("v1", "v2"),
  table,
  state: fc.constantFrom("seen", "superseded", "loaded", "failed", "duplicate", "changed", "rolled_back", "stray"),
  firstSeen: time,
  archivedKey: fc.constant(null),
  redelivered: fc.option(time),
  records: fc.constant(null),
  fingerprint: fc.constant(null),
});

const tableState = fc.constantFrom<TableState>("waiting", "loading", "loaded", "failed", "held", "rolled_back");

const facts: fc.Arbitrary<BatchFacts> = fc.record({
  batchId: fc.constant(batchId),
  state: fc.constantFrom("waiting", "loading", "loaded", "failed"),
  tableStates: fc.array(fc.tuple(table, tableState)).map((states) => new Map(states)),
  sources: fc.array(source, { maxLength: 8 }),
  queue: fc.uniqueArray(queueRow, { selector: (row) => row.table }),
  seen: fc.uniqueArray(seenVersion, { selector: (seen) => `${seen.key} ${seen.version}` }),
  requireApproval: fc.boolean(),
  manifests: fc.constant([]),
});

const input: fc.Arbitrary<ExecutionInput> = fc
  .record({
    action: fc.constantFrom("load", "retry"),
    source: fc.constantFrom("arrival", "sweep", "manual"),
    tables: fc.option(fc.uniqueArray(table, { minLength: 1 }), { nil: undefined }),
  })
  .map((start) => executionInput.parse({ batchId, ...start }));

type Ruled = { readonly facts: BatchFacts; readonly input: ExecutionInput; readonly decision: Decision };
type Load = Extract<Decision, { do: "load" }>;
type Of<Kind extends Decision["do"]> = Decision extends infer Each
  ? Each extends { do: infer Does }
    ? Kind extends Does
      ? Each
      : never
    : never
  : never;

/** Checks a rule over decisions of one kind, and that there are enough of them to mean something. */
function always<Kind extends Decision["do"]>(
  kind: Kind,
  rule: (ruled: Ruled & { readonly decision: Of<Kind> }) => void,
): void {
  let times = 0;
  const property = fc.property(facts, input, (given, start) => {
    const decision = decideBatch(given, start);
    if (decision.do !== kind) return;
    times += 1;
    rule({ facts: given, input: start, decision: decision as Of<Kind> });
  });
  fc.assert(property, { numRuns: 5_000, seed: 42 });
  expect(times).toBeGreaterThan(10);
}

const namesOf = ({ tables: chosen }: Pick<Load, "tables">): string[] => chosen.map(({ table: name }) => name);

describe("a load", () => {
  test("has no table that is not approved, where approval is required, nor one whose validation is open or failed", () => {
    always("load", ({ facts: { queue, requireApproval }, decision }) => {
      for (const name of namesOf(decision)) {
        const row = queue.find((queued) => queued.table === name);
        if (requireApproval) expect(row?.approved).toBe(true);
        expect(["pending", "failed"]).not.toContain(row?.status);
      }
    });
  });

  test("has no loaded table, a held one only by hand, a failed one only as a retry", () => {
    always("load", ({ facts: { tableStates, sources }, input: start, decision }) => {
      for (const name of namesOf(decision)) {
        const state = tableStates.get(name);
        expect(state).not.toBe("loaded");
        if (state === "held") expect(start.source).toBe("manual");
        // what lies in the archive was mended and loaded once
        const isArchived = sources.some(
          ({ origin, stagedKey }) => origin === "archive" && stagedKey.includes(`/${name}`),
        );
        if (state === "failed" && !isArchived) expect(start.action).toBe("retry");
      }
    });
  });

  test("takes complete tables only, and nothing outside of the chosen subset", () => {
    always("load", ({ input: start, decision }) => {
      expect(decision.tables.length).toBeGreaterThan(0);
      expect(decision.tables.every(({ complete, fragments }) => complete && fragments.length > 0)).toBe(true);
      for (const name of namesOf(decision)) {
        if (start.tables) expect(start.tables).toContain(name);
      }
    });
  });

  test("is all or nothing: whatever the queue names or the subset asks for is in it, or is loaded or held", () => {
    always("load", ({ facts: { queue, tableStates }, input: start, decision }) => {
      for (const name of start.tables ?? queue.map((row) => row.table)) {
        const apart = tableStates.get(name) === "loaded" || tableStates.get(name) === "held";
        if (!apart) expect(namesOf(decision)).toContain(name);
      }
    });
  });

  test("holds only what is neither chosen nor ended, and only where a subset was asked for", () => {
    always("load", ({ facts: { tableStates }, input: start, decision }) => {
      if (!start.tables) expect(decision.held).toEqual([]);
      for (const name of decision.held) {
        expect(namesOf(decision)).not.toContain(name);
        expect(["loaded", "failed"]).not.toContain(tableStates.get(name));
      }
    });
  });

  test("has no fragment that is older than another version of its key", () => {
    always("load", ({ decision }) => {
      for (const { fragments } of decision.tables) expect(fragments.every(({ object }) => object.isLatest)).toBe(true);
    });
  });
});

test("a comparison is of loaded tables, from staging, and of versions that were not found to be changed before", () => {
  always("compare", ({ facts: { tableStates, seen }, decision }) => {
    for (const { table: name, fragments } of decision.tables) {
      expect(tableStates.get(name)).toBe("loaded");
      for (const { stagedKey, object, origin } of fragments) {
        expect(origin).toBe("staging");
        const known = seen.find(({ key, version }) => key === stagedKey && version === object.versionId);
        expect(known?.state).not.toBe("changed");
      }
    }
  });
});

test("a failed table stops every start that is no retry, unless the subset leaves it out or the archive has it", () => {
  const property = fc.property(facts, input, (given, start) => {
    const failed = [...given.tableStates].filter(([, state]) => state === "failed").map(([name]) => name);
    const archived = groupSources(given.sources.filter(({ origin }) => origin === "archive"));
    const mended = new Set(archived.map(({ table: name }) => name));
    const concerned = failed.filter((name) => !mended.has(name) && (start.tables?.includes(name) ?? true));
    const stops = concerned.length > 0 && start.action !== "retry";
    expect(decideBatch(given, start).do === "failed_before").toBe(stops);
  });
  fc.assert(property, { numRuns: 2_000, seed: 42 });
});

test("waiting always says why", () => {
  always("wait", ({ decision }) => {
    expect(decision.code).toMatch(/^[A-Z_]+$/);
    expect(decision.message).toContain(batchId);
  });
});
