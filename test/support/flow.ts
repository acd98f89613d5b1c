import { readFile } from "node:fs/promises";
import { inject } from "vitest";
import { overrideEnvironment } from "../../lib/config.ts";
import { contractsKey } from "../../lib/core/keys.ts";
import { type LocalBucket, openBucket } from "../../lib/local/bucket.ts";
import { findFreePort } from "../../lib/local/free-port.ts";
import {
  type ExecutionRecord,
  type LocalMachine,
  type MachineEvent,
  machineArn,
  type Notice,
  openMachine,
  type Pauses,
  randomExecutionName,
} from "../../lib/local/interpreter.ts";
import {
  type FunctionName,
  invokeLambda,
  type LoadFunction,
  loadFunction,
  loadTaskFunctions,
} from "../../lib/local/lambda.ts";
import { type Delivery, type LocalEntrances, openLocalEntrances } from "../../lib/local/local-entrances.ts";
import { openMachineEndpoint } from "../../lib/local/machine-endpoint.ts";
import type { ObjectCreatedEvent } from "../../lib/local/object-event.ts";
import { openTestDatabase, type TestDatabase } from "./database.ts";

export type FlowOptions = {
  /** JSON text of the contracts. @default config/tables.json */
  readonly contracts?: string;
  /** Settings over the flow's own. */
  readonly variables?: Readonly<Record<string, string>>;
  /** @default no pause at all */
  readonly pauses?: Pauses;
  /** Wraps or replaces handlers, to inject faults. @default the handlers in functions/ */
  readonly load?: LoadFunction;
  /** As `load`, where the functions need the settings. */
  readonly openFunctions?: (variables: Readonly<Record<string, string>>) => LoadFunction;
  /** @default a bucket in memory */
  readonly openBucket?: typeof openTestBucket;
  /** @default a database on the server that all test files share */
  readonly openDatabase?: () => Promise<TestDatabase>;
  /** @default the interpreter as it is */
  readonly openMachine?: typeof openMachine;
};

export type RunResult = Pick<ExecutionRecord, "status" | "error" | "cause" | "states"> & {
  /** What a succeeded execution answered, read from its JSON. */
  readonly output: unknown;
};

export type QueueRow = {
  readonly batchId: string;
  readonly table: string;
  /** @default none declared */
  readonly totalRecords?: number;
  /** @default validated */
  readonly status?: string;
  /** @default false; `approve` approves later */
  readonly approved?: boolean;
};

export type Flow = {
  readonly database: TestDatabase;
  readonly sql: TestDatabase["sql"];
  readonly bucket: TestBucket;
  readonly machine: LocalMachine;
  readonly steps: readonly MachineEvent[];
  readonly notices: readonly Notice[];
  /** Puts an object; anything but text and bytes is written as JSON. */
  put(key: string, body: unknown): Promise<void>;
  queueRow(row: QueueRow): Promise<void>;
  approve(batchId: string, by?: string): Promise<void>;
  /** Runs the machine to its end. */
  run(input: object): Promise<RunResult>;
  /** Hands what has arrived to start-load, and waits until every execution has ended. */
  arrivals(): Promise<Delivery & { readonly runs: RunResult[] }>;
  invoke(name: FunctionName, event?: unknown): Promise<unknown>;
  /** The keys below a prefix, in order. */
  objects(prefix: string): string[];
  json(key: string): Promise<unknown>;
  close(): Promise<void>;
};

/** The whole loader in this process: a database of its own, a bucket in memory, the synthesized machine. */
export async function openFlow(options: FlowOptions = {}): Promise<Flow> {
  await using stack = new AsyncDisposableStack();
  let entrances: LocalEntrances | undefined;
  const database = defer(stack, await (options.openDatabase ?? openTestDatabase)());
  const bucket = defer(stack, await (options.openBucket ?? openTestBucket)((event) => entrances?.deliver(event)));
  const machinePort = await findFreePort();
  // Before any handler is imported: it may read its settings then.
  const variables = { ...toVariables(database, bucket, machinePort), ...options.variables };
  overrideEnvironment(variables);
  const load = options.openFunctions?.(variables) ?? options.load ?? loadFunction;
  const steps: MachineEvent[] = [];
  const notices: Notice[] = [];
  const machine = (options.openMachine ?? openMachine)({
    definition: readDefinition(),
    functions: await loadTaskFunctions(load),
    pauses: options.pauses ?? { waitMilliseconds: 0, retryMilliseconds: 0 },
    onEvent: (step) => steps.push(step),
    onNotice: (notice) => notices.push(notice),
  });
  defer(stack, machine);
  defer(stack, await openMachineEndpoint(machine, machinePort));
  await bucket.put(contractsKey, options.contracts ?? (await readSampleContracts()));
  entrances = defer(stack, openLocalEntrances({ bucket, startLoad: await load("start-load") }));
  const parts = { database, bucket, machine, entrances, load };
  const owned = stack.move();
  return { ...parts, sql: database.sql, steps, notices, ...createActions(parts), close: () => owned.disposeAsync() };
}

function toVariables(database: TestDatabase, bucket: TestBucket, machinePort: number): Record<string, string> {
  return {
    ...database.variables,
    ...bucket.variables,
    LOCAL_MACHINE_ENDPOINT: `http://127.0.0.1:${machinePort}`,
    STATE_MACHINE_ARN: machineArn(bucket.region),
    LEASE_SECONDS: "120",
    LOG_LEVEL: "SILENT",
  };
}

type FlowParts = Pick<Flow, "database" | "bucket" | "machine"> & {
  readonly entrances: LocalEntrances;
  readonly load: LoadFunction;
};
type FlowActions = Omit<Flow, "database" | "bucket" | "machine" | "sql" | "steps" | "notices" | "close">;

function createActions({ database: { sql }, bucket, machine, entrances, load }: FlowParts): FlowActions {
  const settle = async (arn: string): Promise<RunResult> => toResult(await machine.settle(arn));
  return {
    put: (key, body) =>
      bucket.put(key, typeof body === "string" || body instanceof Uint8Array ? toBody(body) : JSON.stringify(body)),
    async queueRow({ batchId, table, totalRecords, status = "validated", approved = false }) {
      await sql`
        insert into validation_queue (
          batch_id, table_name, total_records, validation_status, approved_for_load, approved_by, approved_at
        )
        values (
          ${batchId}, ${table}, ${totalRecords ?? null}, ${status}, ${approved},
          ${approved ? "tester" : null}, ${approved ? sql`clock_timestamp()` : null}
        )`;
    },
    async approve(batchId, by = "tester") {
      await sql`
        update validation_queue
        set approved_for_load = true, approved_by = ${by}, approved_at = clock_timestamp(), updated_at = now()
        where batch_id = ${batchId}`;
    },
    run: (input) => settle(machine.start(randomExecutionName(), JSON.stringify(input)).arn),
    async arrivals() {
      const before = new Set(machine.list().map(({ arn }) => arn));
      const delivery = await entrances.drain();
      const started = machine.list().filter(({ arn }) => !before.has(arn));
      return { ...delivery, runs: await Promise.all(started.map(({ arn }) => settle(arn))) };
    },
    invoke: async (name, event = {}) => invokeLambda(await load(name), event),
    objects: bucket.keys,
    json: bucket.json,
  };
}

function toBody(body: string | Uint8Array): string | Uint8Array<ArrayBuffer> {
  return typeof body === "string" ? body : new Uint8Array(body);
}

function toResult({ status, error, cause, states, output }: ExecutionRecord): RunResult {
  return { status, error, cause, states, output: output === null ? null : JSON.parse(output) };
}

function readDefinition(): unknown {
  const { definition, fault } = inject("machine");
  if (definition === null) throw new Error(`the state machine could not be synthesized: ${fault}`);
  return JSON.parse(definition);
}

function readSampleContracts(): Promise<string> {
  return readFile(new URL("../../config/tables.json", import.meta.url), "utf8");
}

function defer<T extends { close(): Promise<void> }>(stack: AsyncDisposableStack, part: T): T {
  stack.defer(() => part.close());
  return part;
}

export type TestBucket = LocalBucket & {
  /** What EventBridge would have been told so far. */
  readonly events: readonly ObjectCreatedEvent[];
  /** The settings that point the loader at it. */
  readonly variables: Readonly<Record<string, string>>;
  text(key: string): Promise<string | null>;
  json(key: string): Promise<unknown>;
};

/** A bucket in memory, with the intake queue and its dead letters. */
export async function openTestBucket(onArrival?: (event: ObjectCreatedEvent) => void): Promise<TestBucket> {
  const events: ObjectCreatedEvent[] = [];
  const bucket = await openBucket({
    storageDir: null,
    bucket: "idhub-curated-fragments",
    onArrival: (event) => {
      events.push(event);
      onArrival?.(event);
    },
  });
  const text = async (key: string): Promise<string | null> => {
    const bytes = await bucket.get(key);
    return bytes === null ? null : new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  };
  const variables = {
    S3_BUCKET: bucket.name,
    S3_VERSIONING: "disabled",
    AWS_REGION: bucket.region,
    LOCAL_ENDPOINT: bucket.endpoint,
    ARRIVALS_QUEUE_URL: bucket.arrivals.url,
    DEAD_LETTER_QUEUE_URL: bucket.deadLetters.url,
  };
  return { ...bucket, events, variables, text, json: async (key) => JSON.parse((await text(key)) ?? "null") };
}
