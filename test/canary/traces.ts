import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { vi } from "vitest";
import { type LoadFunction, loadFunction } from "../../lib/local/lambda.ts";
import type { Flow } from "../support/flow.ts";

/** Everything that a flow leaves behind, as texts with the place where each was found. */
export type Trace = { readonly where: string; readonly text: string };

/** Takes what this process writes while `work` goes on. */
export async function recordOutput<T>(work: () => Promise<T>): Promise<{ result: T; written: string }> {
  let written = "";
  const take = (chunk: unknown): boolean => {
    written += `${chunk}\n`;
    return true;
  };
  const streams = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, "write").mockImplementation(take));
  const methods = (["log", "info", "warn", "error", "debug"] as const).map((method) =>
    vi.spyOn(console, method).mockImplementation((...words) => void take(textsIn(words))),
  );
  try {
    return { result: await work(), written };
  } finally {
    for (const spy of [...streams, ...methods]) spy.mockRestore();
  }
}

/** Every text in a value, at any depth, in hidden properties as well: printing it would escape and break some. */
function textsIn(value: unknown, seen = new Set<unknown>()): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (seen.has(value)) return "";
  seen.add(value);
  const names = Object.getOwnPropertyNames(value);
  return names.map((name) => `${name}\n${textsIn((value as Record<string, unknown>)[name], seen)}`).join("\n");
}

/** Handlers that note what goes in and out of every invocation, as states and clients of Lambda see it. */
export function watchHandlers(note: (trace: Trace) => void, before: (name: string) => Promise<void>): LoadFunction {
  return async (name) => {
    const watched = await loadFunction(name);
    const handler: typeof watched.handler = async (event, context) => {
      note({ where: `input of ${name}`, text: JSON.stringify(event) });
      await before(name);
      try {
        const answer = await watched.handler(event, context);
        note({ where: `output of ${name}`, text: JSON.stringify(answer) ?? "" });
        return answer;
      } catch (error) {
        // This is more of the error than a runtime would print.
        note({ where: `error of ${name}`, text: textsIn(error) });
        throw error;
      }
    };
    return { ...watched, handler };
  };
}

/** Places that SPEC P8 allows to hold record values: the tables that keep records, and sources of error_log.json. */
const keepsRecords = new Set([
  ...["audit_log.old_values", "audit_log.new_values", "audit_log.record_id"],
  ...["failed_records.record_data", "failed_records.error_message"],
  ...["undo_images.row_keys", "undo_images.old_rows", "undo_rows.row_key", "undo_rows.old_row"],
  ...["rejects.raw", "rejects.got", "rejects.expected"],
]);

const controlTables = ["validation_queue", "load_audit_log", "audit_log", "failed_records", "batch_load_log"];

/** Every column of queue, control tables and ledger that may hold no record's values. */
export async function ledgerTraces({ sql }: Flow): Promise<Trace[]> {
  const columns = await sql<{ schema: string; table: string; column: string }[]>`
    select table_schema as schema, table_name as "table", column_name as column
    from information_schema.columns
    where table_schema in ('table_loader', 'table_loader_staging')
       or (table_schema = 'public' and (table_name = any(${controlTables}) or table_name = 'loader_status'))`;
  const traces: Trace[] = [];
  for (const { schema, table, column } of columns) {
    if (keepsRecords.has(`${table}.${column}`)) continue;
    const rows = await sql`select ${sql(column)}::text as text from ${sql(schema)}.${sql(table)}`;
    traces.push({ where: `${schema}.${table}.${column}`, text: rows.map(({ text }) => text).join("\n") });
  }
  return traces;
}

/** What the machine keeps of its executions, and what it told people. */
export function machineTraces({ machine, notices, steps }: Flow): Trace[] {
  const executions = machine.list().flatMap(({ name, input, output, error, cause }) => [
    { where: `input of execution ${name}`, text: input },
    { where: `output of execution ${name}`, text: String(output) },
    { where: `cause of execution ${name}`, text: `${error}: ${cause}` },
  ]);
  const said = notices.map(({ state, message }) => ({ where: `notice ${state}`, text: JSON.stringify(message) }));
  return [...executions, ...said, { where: "history", text: JSON.stringify(steps) }];
}

export async function deadLetterTraces({ bucket }: Flow): Promise<Trace[]> {
  const ask = { QueueUrl: bucket.deadLetters.url, MaxNumberOfMessages: 10, MessageAttributeNames: ["All"] };
  return [{ where: "dead letters", text: JSON.stringify(await bucket.sqs("ReceiveMessage", ask)) }];
}

/** The load results: counts, and no values. */
export async function resultTraces({ objects, bucket }: Flow): Promise<Trace[]> {
  const keys = [...objects("loaded/"), ...objects("failed/")].filter((key) => key.includes("/load_result"));
  return Promise.all(keys.map(async (key) => ({ where: key, text: (await bucket.text(key)) ?? "" })));
}

/** The reports that may hold values. */
export async function reportsOf({ objects, bucket }: Flow): Promise<string> {
  const keys = [...objects("previews/"), ...objects("failed/").filter((key) => key.endsWith("error_log.json"))];
  return (await Promise.all(keys.map((key) => bucket.text(key)))).join("\n");
}

const entry = /^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] (\w+): {2}/m;

/** Log of the server, by the kind of the line: ERROR, DETAIL, STATEMENT and so on. */
export async function serverTraces({ database }: Flow): Promise<Trace[]> {
  const end = `end of ${database.name} ${Math.random()}`;
  await database.sql.unsafe(`do $$ begin raise log '${end}'; end $$`);
  let text = "";
  const readLog = async (): Promise<void> => {
    text = await readFile(database.server.logFile, "utf8");
    if (!text.includes(end)) throw new Error("the server's log is not complete yet");
  };
  await vi.waitFor(readLog, { timeout: 10_000 });
  const [, ...parts] = text.split(entry);
  return parts.flatMap((kind, index) =>
    index % 2 === 0 ? [{ where: `the server's ${kind}`, text: parts[index + 1] ?? "" }] : [],
  );
}

/** A subsegment, as the daemon of X-Ray gets it. */
type Segment = {
  readonly name: string;
  readonly annotations: Readonly<Record<string, string | number | boolean>>;
  readonly metadata?: unknown;
  readonly cause?: { readonly exceptions: readonly { readonly message: string; readonly type: string }[] };
};

export type TraceDaemon = {
  /** Packets so far, as they came. */
  readonly texts: readonly string[];
  segments(): Segment[];
  close(): void;
};

/**
 * Stands in for the daemon beside a Lambda and for Lambda's environment. The tracer looks at both when it is loaded, so
 * that it has to be opened before any handler is imported.
 */
export async function openTraceDaemon(): Promise<TraceDaemon> {
  const texts: string[] = [];
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.on("message", (message) => texts.push(message.toString()));
  const { port } = socket.address() as AddressInfo;
  const lambda = {
    AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
    LAMBDA_TASK_ROOT: "/var/task",
    AWS_XRAY_DAEMON_ADDRESS: `127.0.0.1:${port}`,
    _X_AMZN_TRACE_ID: "Root=1-66000000-000000000000000000000001;Parent=0000000000000001;Sampled=1",
    _HANDLER: "index.handler",
  };
  for (const [name, value] of Object.entries(lambda)) vi.stubEnv(name, value);
  // A line of the protocol comes before the segment.
  const segments = (): Segment[] => texts.map((text) => JSON.parse(text.slice(text.indexOf("\n"))) as Segment);
  return { texts, segments, close: () => socket.close() };
}
