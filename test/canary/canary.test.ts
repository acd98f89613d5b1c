import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { forceMetrics } from "../../lib/aws/measures.ts";
import { runCli } from "../../lib/cli/main.ts";
import { overrideEnvironment } from "../../lib/config.ts";
import type { CrashPoint } from "../../lib/core/ports.ts";
import { operateInProcess } from "../../lib/local/attached-operate.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import { recordIo } from "../cli/support.ts";
import { sweepOnce } from "../support/crash.ts";
import { type Flow, openFlow, type RunResult } from "../support/flow.ts";
import { openMarks, openSearcher } from "./marks.ts";
import {
  deadLetterTraces,
  ledgerTraces,
  machineTraces,
  openTraceDaemon,
  recordOutput,
  reportsOf,
  resultTraces,
  serverTraces,
  type Trace,
  type TraceDaemon,
  watchHandlers,
} from "./traces.ts";
import { brokenRecords, contracts, logTersely, schema, vaultRecord } from "./world.ts";

/** P8, X07: marked values and secrets go through every way of a batch, and are nowhere but where they may be. */

const values = openMarks();
const secrets = openMarks();
const traces: Trace[] = [];
/** How each way ended, shortly. */
const runs: Record<string, readonly unknown[]> = {};
let flow: Flow;
let daemon: TraceDaemon;
let cliOutput = "";
let reports = "";

/** What happens before an invocation; a way that blocks mends itself here. */
let before: (name: string) => Promise<void> = async () => {};

beforeAll(async () => {
  for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]) {
    vi.stubEnv(name, secrets.word(name));
  }
  daemon = await openTraceDaemon();
  const { result, written } = await recordOutput(async () => {
    flow = await openFlow({
      contracts,
      variables: { LOG_LEVEL: "DEBUG" },
      load: watchHandlers(
        (trace) => traces.push(trace),
        (name) => before(name),
      ),
    });
    secrets.keep("the database's password", flow.database.server.password);
    await logTersely(flow);
    // as they are in a deployed function
    forceMetrics(true);
    await flow.sql.unsafe(schema);
    for (const [name, way] of Object.entries(ways)) {
      reachAs(() => undefined);
      const ended = await way();
      runs[name] = [ended].flat().map(shortOf);
    }
    // alone, as in a process of its own: one that starts something here has it among its own subsegments
    await flow.invoke("sweep");
    reports = await reportsOf(flow);
    await vi.waitFor(() => expect(tracedTasks()).toEqual(new Set(tracing)), { timeout: 10_000 });
    const parts = [ledgerTraces(flow), deadLetterTraces(flow), resultTraces(flow), serverTraces(flow)];
    return [...(await Promise.all(parts)).flat(), ...machineTraces(flow)];
  });
  traces.push({ where: "stdout and stderr", text: written }, ...result);
  traces.push(...daemon.texts.map((text) => ({ where: "trace", text })));
}, 300_000);
afterAll(async () => {
  reachAs(() => undefined);
  forceMetrics(false);
  vi.unstubAllEnvs();
  await flow?.close();
  daemon.close();
});

/** Every handler that a way comes through. */
const tracing = [
  ...["ValidateBatch", "StageFragments", "CommitBatch", "ArchiveFragments", "CloseBatch", "FailBatch"],
  ...["StartLoad", "Sweep", "Operate"],
];
const tracedTasks = () => new Set(daemon.segments().map(({ annotations }) => annotations["task"]));

function reachAs(crashPoint: (point: CrashPoint) => void): void {
  before = async () => {};
  onCrashPoint(crashPoint);
}

let batches = 0;
async function batch(objects: Readonly<Record<string, unknown>>, approved = true): Promise<string> {
  const batchId = `batch_20260401_${String(batches++).padStart(6, "0")}`;
  const tables = new Set(Object.keys(objects).map((name) => name.replace(/[./].*$/, "")));
  for (const table of tables) await flow.queueRow({ batchId, table, approved });
  for (const [name, body] of Object.entries(objects)) await flow.put(`staging/validated/${batchId}/${name}`, body);
  return batchId;
}

const load = async (objects: Readonly<Record<string, unknown>>): Promise<RunResult> =>
  flow.run({ batchId: await batch(objects) });

/** Breaks the environment for the first invocations after planning, as what it throws would. */
async function blocked(breakIt: () => void, mend: () => void): Promise<RunResult> {
  const batchId = await batch({ "vault.json": [vaultRecord(values, `blocked ${batches}`)] });
  let invocations = 0;
  breakIt();
  before = async () => {
    invocations += 1;
    if (invocations === 3) mend();
  };
  return flow.run({ batchId });
}

const throwing = async (error: Error, at: CrashPoint): Promise<RunResult> => {
  let times = 0;
  const batchId = await batch({ "vault.json": [vaultRecord(values, `crash ${batches}`)] });
  reachAs((point) => {
    if (point !== at || times++ > 0) return;
    throw error;
  });
  return flow.run({ batchId });
};

/** S3 that refuses, and says things in its answer that nobody should repeat. */
async function openRefusingS3() {
  const said = `<Error><Code>AccessDenied</Code><Message>${secrets.word("S3's answer")}</Message></Error>`;
  const server = createServer((_, response) =>
    response.writeHead(403, { "content-type": "application/xml" }).end(said),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

const shared = values.word("a key that is stored");

function shortOf(ended: RunResult | number): string | number {
  if (typeof ended === "number") return ended;
  const { status, code } = (ended.output ?? {}) as { status?: string; code?: string };
  return ended.error ?? (code || status) ?? "";
}

const ways: Readonly<Record<string, () => Promise<RunResult | number | readonly (RunResult | number)[]>>> = {
  async loaded() {
    const metadata = { from: values.text("metadata") };
    const first = vaultRecord(values, "good", shared);
    const batchId = await batch({ "vault.json": { metadata, records: [first, vaultRecord(values, "other")] } });
    const url = `${flow.bucket.endpoint}/${flow.bucket.name}/staging/validated/${batchId}/vault.json`;
    const headers = { "x-amz-meta-note": values.word("object metadata") };
    await fetch(url, { method: "PUT", headers, body: JSON.stringify({ metadata, records: [first] }) });
    await flow.approve(batchId);
    return flow.run({ batchId });
  },
  updated: () => load({ "vault.json": [vaultRecord(values, "update", shared)] }),
  async redelivered() {
    const batchId = await batch({ "vault.json": [vaultRecord(values, "delivered")] });
    const first = await flow.run({ batchId });
    await flow.put(`staging/validated/${batchId}/vault.json`, [vaultRecord(values, "delivered again")]);
    return [first, await flow.run({ batchId, source: "arrival" })];
  },
  async "failed, retried, failed again"() {
    const batchId = await batch({
      "strict.json": Object.values(brokenRecords(values)),
      "parted.json": [{ k: values.word("parted key"), region: values.word("no partition") }],
    });
    return [await flow.run({ batchId }), await flow.run({ batchId, action: "retry" })];
  },
  async "refused by the server alone"() {
    const records = brokenRecords(openMarksAs("refused"));
    const { trigger, "the first span": one, "the second span": other } = records;
    const parted = [{ k: values.word("second parted key"), region: values.word("second region") }];
    return load({ "strict.json": [trigger, one, other], "parted.json": parted });
  },
  async previewed() {
    const broken = { "strict.json": Object.values(brokenRecords(openMarksAs("preview"))) };
    return flow.run({ batchId: await batch(broken, false), dryRun: true });
  },
  "no JSON": () => load({ "vault.json": `<html><p>${values.word("HTML")}</p></html>` }),
  CSV: () => load({ "vault.json": `${values.digits("CSV value", 8)},2\n` }),
  "half a JSON": () => load({ "vault.json": `[{"id":"${values.word("before the end")}","t":"${values.word("cut")}` }),
  "a bare word": () => load({ "vault.json": `[{"id":${values.word("bare word")}}]` }),
  "no object": () => load({ "vault.json": `["${values.word("no record")}"]` }),
  "a bad manifest": () =>
    load({
      "vault/part-1.json": [],
      "vault/_manifest.json": {
        fragments: [
          { key: "part-1.json", records: values.word("manifest count"), sha256: values.word("manifest sum") },
        ],
        [values.word("manifest value").slice(0, 3)]: values.word("another manifest value"),
      },
    }),
  "no manifest": () => load({ "vault/part-1.json": [], "vault/_manifest.json": `{"${values.word("manifest text")}` }),
  "another count": () =>
    load({
      "vault/part-1.json": [vaultRecord(values, "counted")],
      "vault/_manifest.json": { fragments: [{ key: "part-1.json", records: 2 }] },
    }),
  "wrong password": () =>
    blocked(
      () => overrideEnvironment({ DB_PASSWORD: secrets.word("a wrong password") }),
      () => overrideEnvironment({ DB_PASSWORD: flow.database.server.password }),
    ),
  "database away": () =>
    blocked(
      () => overrideEnvironment({ DB_PORT: "1" }),
      () => overrideEnvironment({ DB_PORT: String(flow.database.server.port) }),
    ),
  async "S3 denied"() {
    const refusing = await openRefusingS3();
    const run = await blocked(
      () => overrideEnvironment({ LOCAL_ENDPOINT: refusing.endpoint }),
      () => overrideEnvironment({ LOCAL_ENDPOINT: flow.bucket.endpoint }),
    );
    refusing.close();
    return run;
  },
  "a driver's error": () => {
    const words = values.text("driver's words");
    const more = { code: "22P02", detail: words, where: words, parameters: [words], query: words };
    return throwing(Object.assign(new Error(`invalid input "${words}"`), more), "after-copy");
  },
  "a bug": () => throwing(new TypeError(`cannot read ${values.text("bug's words")}`), "after-copy"),
  "a bug in the commit": () => throwing(new RangeError(values.text("commit's words")), "before-commit"),
  "a bug in the archive": () => throwing(new Error(values.text("archive's words")), "before-archive-copy"),
  async swept() {
    await batch({ "vault.json": [vaultRecord(values, "swept")] });
    return (await sweepOnce(flow)).runs;
  },
  async arrived() {
    const batchId = await batch({ "vault.json": [vaultRecord(values, "arrived")] });
    await flow.arrivals();
    return flow.machine
      .list()
      .filter(({ input }) => input.includes(batchId))
      .map((record) => ({ ...record, output: JSON.parse(record.output ?? "null") }));
  },
  async "a stranger's message"() {
    const body = `{"${values.word("a stranger's message")}`;
    await flow.invoke("start-load", { Records: [{ messageId: "m", body }] });
    await drainDeadLetters();
    return [];
  },
  async "by hand"() {
    const connect = async () => ({ operate: operateInProcess, pollMilliseconds: 10, close: () => {} });
    const cli = async (...args: string[]): Promise<number> => {
      const io = recordIo(tmpdir());
      const exitCode = await runCli(args, io, connect);
      cliOutput += `${io.stdout()}\n${io.stderr()}\n`;
      return exitCode;
    };
    const good = await batch({ "vault.json": [vaultRecord(values, "by hand")] });
    const bad = await batch({ "strict.json": Object.values(brokenRecords(openMarksAs("by hand"))) });
    const codes = [await cli("preview", bad), await cli("preview", bad, "--json")];
    codes.push(await cli("approve", good), await cli("approve", bad), await cli("load", bad, "--json"));
    codes.push(await cli("status", bad), await cli("status", bad, "--json"), await cli("batches"));
    return codes;
  },
};

/** The stranger's own words stay in the queue as they came; they are none of ours. */
async function drainDeadLetters(): Promise<void> {
  const ask = { QueueUrl: flow.bucket.deadLetters.url, MaxNumberOfMessages: 10 };
  const { Messages = [] } = (await flow.bucket.sqs("ReceiveMessage", ask)) as {
    Messages?: { ReceiptHandle: string }[];
  };
  expect(Messages).toHaveLength(1);
  for (const { ReceiptHandle } of Messages) {
    await flow.bucket.sqs("DeleteMessage", { QueueUrl: flow.bucket.deadLetters.url, ReceiptHandle });
  }
}

/** The same marks under names of their own, so that one set of records can go several ways. */
function openMarksAs(name: string): typeof values {
  const named = (one: string): string => `${name}: ${one}`;
  return {
    list: values.list,
    keep: (one, text) => values.keep(named(one), text),
    word: (one) => values.word(named(one)),
    text: (one) => values.text(named(one)),
    digits: (one, count) => values.digits(named(one), count),
  };
}

test("every way ended as it should", () => {
  const success = ["success"];
  expect(runs).toEqual({
    loaded: success,
    updated: success,
    redelivered: ["success", "BATCH_CONTENT_CHANGED"],
    "failed, retried, failed again": ["RECORDS_REJECTED", "RECORDS_REJECTED"],
    "refused by the server alone": ["RECORDS_REJECTED"],
    previewed: ["preview"],
    "no JSON": ["JSON_SYNTAX"],
    CSV: ["JSON_SYNTAX"],
    "half a JSON": ["JSON_TRUNCATED"],
    "a bare word": ["JSON_SYNTAX"],
    "no object": ["JSON_SHAPE"],
    "a bad manifest": ["MANIFEST_INVALID"],
    "no manifest": ["MANIFEST_INVALID"],
    "another count": ["COUNT_MISMATCH"],
    "wrong password": success,
    "database away": success,
    "S3 denied": success,
    "a driver's error": ["DB_VALUE"],
    "a bug": success,
    "a bug in the commit": success,
    "a bug in the archive": success,
    swept: success,
    arrived: success,
    "a stranger's message": [],
    "by hand": [1, 1, 0, 1, 1, 0, 0, 0],
  });
});

const hitsOf = (marks: typeof values, found: readonly Trace[]): string[] => {
  const find = openSearcher(marks.list);
  return found.flatMap(({ where, text }) => find(text).map(({ mark, form }) => `${where}: ${mark}, ${form}`));
};

/**
 * The client of `operate` is the CLI, which may show values; what a stranger wrote into the queue, start-load takes; the
 * message of the server's error may be a trigger's own.
 */
const mayHoldValues = ["output of operate", "input of start-load", "the server's ERROR"];

test("P8: no value of a record is where none may be", () => {
  expect(
    hitsOf(
      values,
      traces.filter(({ where }) => !mayHoldValues.includes(where)),
    ),
  ).toEqual([]);
});

test("of the server's errors, only those that a trigger raised say what was in a record", () => {
  const errors = traces.filter(({ where }) => where === "the server's ERROR");
  const found = hitsOf(values, errors);
  expect(found.length).toBeGreaterThan(0);
  expect(found.filter((hit) => !/: trigger: (key|needed), plain$/.test(hit))).toEqual([]);
});

test("X07: no secret is anywhere", () => {
  const everything = [...traces, { where: "CLI", text: cliOutput }, { where: "reports", text: reports }];
  expect(hitsOf(secrets, everything)).toEqual([]);
});

test("the values are where they may be: in the reports, and in what the CLI shows", () => {
  const shown = openSearcher(values.list)(reports).map(({ mark }) => mark);
  for (const name of ["trigger value", "span", "check value", "missing parent", "domain value", "no partition"]) {
    expect(shown).toContain(name);
  }
  expect(hitsOf(values, [{ where: "CLI", text: cliOutput }])).not.toEqual([]);
});

test("a trace has the ids of its batch, an error by its code, and neither event nor answer", () => {
  const segments = daemon.segments();
  const staged = segments.filter(({ annotations }) => annotations["task"] === "StageFragments");
  expect(staged.length).toBeGreaterThan(0);
  for (const { annotations } of staged) {
    expect(annotations).toMatchObject({ batchId: expect.stringMatching(/^batch_/), execution: expect.any(String) });
  }
  expect(segments.filter(({ metadata }) => metadata !== undefined)).toEqual([]);
  const errors = segments.flatMap(({ cause }) => cause?.exceptions ?? []).map(({ type, message }) => [type, message]);
  expect(errors).toContainEqual(["PermanentError", "RECORDS_REJECTED"]);
  expect(errors).toContainEqual(["BlockedError", "LOADER_BUG"]);
  expect(errors.filter(([, code]) => !/^[A-Z][A-Z0-9_]+$/.test(String(code)))).toEqual([]);
});

test("everything was looked at", () => {
  const places = new Set(traces.map(({ where }) => where));
  for (const place of [
    ...["stdout and stderr", "output of commit-batch", "error of stage-fragments", "input of fail-batch"],
    ...["notice NotifySuccess", "notice NotifyFailure", "history", "dead letters", "trace", "the server's STATEMENT"],
    ...["public.validation_queue.error_summary", "public.load_audit_log.error_message", "public.loader_status.status"],
    ...["table_loader.outcomes.message", "table_loader.batches.reason", "table_loader.attempts.result"],
  ]) {
    expect(places).toContain(place);
  }
  const written = traces.find(({ where }) => where === "stdout and stderr")?.text ?? "";
  expect(written).toContain('"BlockedLoads"');
  expect(written).toContain('"level":"ERROR"');
  expect(written).toContain("LOADER_BUG");
});
