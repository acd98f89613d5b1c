import { createWriteStream, watch } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { overrideEnvironment } from "../config.ts";
import { localSweepSeconds } from "../core/durations.ts";
import { contractsKey } from "../core/keys.ts";
import { type LocalBucket, openBucket } from "./bucket.ts";
import { claimDirectory, removeEnvironmentFile, toVariables, urlOf, writeEnvironmentFile } from "./environment-file.ts";
import { findFreePort } from "./free-port.ts";
import {
  type ExecutionRecord,
  type LocalMachine,
  type MachineEvent,
  type Notice,
  openMachine,
  randomExecutionName,
  readMachineDefinition,
  sharedCacheDirectory,
} from "./interpreter.ts";
import { type FunctionName, invokeLambda, type LoadFunction, loadFunction, loadTaskFunctions } from "./lambda.ts";
import { type LocalEntrances, openLocalEntrances, openSweepTimer } from "./local-entrances.ts";
import { openMachineEndpoint } from "./machine-endpoint.ts";
import type { ObjectCreatedEvent } from "./object-event.ts";
import { type LocalPostgres, openPostgres } from "./postgres.ts";
import { makeTemporaryDirectory } from "./postgres-process.ts";

/** The whole loader on one computer: database, bucket, queue and machine, with the deployed handlers. */

export type LocalEvent =
  | { readonly kind: "step"; readonly step: MachineEvent }
  | { readonly kind: "arrival"; readonly arrival: ObjectCreatedEvent }
  | { readonly kind: "notice"; readonly notice: Notice }
  /** A fault of the environment itself; it goes on. */
  | { readonly kind: "fault"; readonly error: unknown };

export type LocalEnvironmentOptions = {
  /** Folder that keeps everything; null is a temporary one, removed on close. */
  readonly directory: string | null;
  /** @default free ports */
  readonly ports?: { readonly database?: number; readonly bucket?: number; readonly machine?: number };
  readonly onEvent?: (event: LocalEvent) => void;
  /** Loads what arrives, and sweeps. @default true */
  readonly automatic?: boolean;
  /** @default 30 */
  readonly sweepSeconds?: number;
  /** @default WARN */
  readonly logLevel?: "DEBUG" | "INFO" | "WARN" | "ERROR" | "CRITICAL" | "SILENT";
  /** @default the handlers in functions/ */
  readonly load?: LoadFunction;
};

export type LocalEnvironment = {
  readonly directory: string;
  /** The settings that point a process at this environment. */
  readonly variables: Readonly<Record<string, string>>;
  /** URL of the database, as the role of the loader. */
  readonly databaseUrl: string;
  readonly bucket: LocalBucket;
  readonly machine: LocalMachine;
  /** Starts an execution; `ended` resolves to its record when it has ended. */
  start(input: object): { readonly executionArn: string; readonly ended: Promise<ExecutionRecord> };
  /** Invokes a deployed handler, for example `operate`. */
  invoke(name: FunctionName, event: unknown): Promise<unknown>;
  close(): Promise<void>;
};

/** Opens everything on loopback ports, and points the handlers of this process at it. */
export async function openLocalEnvironment(options: LocalEnvironmentOptions): Promise<LocalEnvironment> {
  const stack = new AsyncDisposableStack();
  try {
    return await openInto(stack, options);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function openInto(stack: AsyncDisposableStack, options: LocalEnvironmentOptions): Promise<LocalEnvironment> {
  const { onEvent = () => {}, load = loadFunction, ports = {} } = options;
  const directory = await openDirectory(stack, options.directory);
  let entrances: LocalEntrances | undefined;
  const onArrival = (arrival: ObjectCreatedEvent): void => {
    onEvent({ kind: "arrival", arrival });
    entrances?.deliver(arrival);
  };
  const persistent = options.directory !== null;
  const { database, bucket, definition } = await openParts({ directory, persistent, ports, onArrival }, stack);

  const machinePort = ports.machine || (await findFreePort());
  const variables = toVariables({ database, bucket, machinePort, logLevel: options.logLevel ?? "WARN" });
  // Before a handler is imported: it may read its settings then.
  overrideEnvironment(variables);
  const invoke = async (name: FunctionName, event: unknown): Promise<unknown> => invokeLambda(await load(name), event);
  await invoke("migrate", {});
  if (persistent) await endLeases(database);
  await applySampleSchema(database);
  await uploadContracts(bucket);
  const machine = await openLoadMachine(stack, { definition, machinePort, load, onEvent });
  entrances = await openEntrances(stack, bucket, load, options);
  if (persistent) await writeEnvironmentFile(directory, variables);

  return {
    directory,
    variables,
    databaseUrl: urlOf(database),
    bucket,
    machine,
    start(input) {
      const { arn } = machine.start(randomExecutionName(), JSON.stringify(input));
      return { executionArn: arn, ended: machine.settle(arn) };
    },
    invoke,
    close: () => stack.disposeAsync(),
  };
}

async function openDirectory(stack: AsyncDisposableStack, wanted: string | null): Promise<string> {
  if (wanted !== null) {
    await claimDirectory(wanted);
    stack.defer(() => removeEnvironmentFile(wanted));
    return wanted;
  }
  const directory = await makeTemporaryDirectory();
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

type MachinePlaces = {
  readonly definition: unknown;
  readonly machinePort: number;
  readonly load: LoadFunction;
  readonly onEvent: (event: LocalEvent) => void;
};

async function openLoadMachine(stack: AsyncDisposableStack, places: MachinePlaces): Promise<LocalMachine> {
  const { definition, machinePort, load, onEvent } = places;
  const machine = openMachine({
    definition,
    functions: await loadTaskFunctions(load),
    onEvent: (step) => onEvent({ kind: "step", step }),
    onNotice: (notice) => onEvent({ kind: "notice", notice }),
  });
  stack.defer(() => machine.close());
  const endpoint = await openMachineEndpoint(machine, machinePort);
  stack.defer(() => endpoint.close());
  return machine;
}

/** Opens arrivals and sweep, and watches the file of the contracts. */
async function openEntrances(
  stack: AsyncDisposableStack,
  bucket: LocalBucket,
  load: LoadFunction,
  options: LocalEnvironmentOptions,
): Promise<LocalEntrances> {
  const onFault = (error: unknown): void => options.onEvent?.({ kind: "fault", error });
  const entrances = openLocalEntrances({ bucket, startLoad: await load("start-load"), onFault });
  stack.defer(entrances.close);
  const watcher = watchContracts(bucket, onFault);
  stack.defer(() => watcher.close());
  if (options.automatic === false) return entrances;
  entrances.start();
  const everySeconds = options.sweepSeconds ?? localSweepSeconds;
  const timer = openSweepTimer({ sweep: await load("sweep"), everySeconds, onFault });
  stack.defer(timer.close);
  return entrances;
}

type PartsOptions = {
  readonly directory: string;
  /** True keeps objects in the directory, false in memory. */
  readonly persistent: boolean;
  /** @default free ports */
  readonly ports: { readonly database?: number; readonly bucket?: number };
  readonly onArrival: (event: ObjectCreatedEvent) => void;
};

const bucketName = "idhub-curated-fragments";

/** Opens them at the same time; if one fails, the stack closes those that opened. */
async function openParts(options: PartsOptions, stack: AsyncDisposableStack) {
  const { directory, persistent, ports, onArrival } = options;
  const log = createWriteStream(join(directory, "postgres.log"), { flags: "a", mode: 0o600 });
  stack.defer(() => void log.end());
  const deferring = <T extends { close(): Promise<void> }>(part: T): T => {
    stack.defer(() => part.close());
    return part;
  };
  const opening = [
    openPostgres({
      dataDir: join(directory, "postgres"),
      port: ports.database ?? 0,
      log: (text) => void log.write(text),
    }).then(deferring),
    openBucket({
      storageDir: persistent ? join(directory, "s3") : null,
      port: ports.bucket ?? 0,
      bucket: bucketName,
      onArrival,
    }).then(deferring),
    readMachineDefinition(persistent ? directory : sharedCacheDirectory),
  ] as const;
  await Promise.allSettled(opening);
  const [database, bucket, definition] = await Promise.all(opening);
  return { database, bucket, definition };
}

/**
 * Ends every lease: one process alone has this directory, so the holder of a lease is gone. The next sweep
 * then continues without waiting until the lease expires, which takes as long as on AWS.
 */
function endLeases(database: LocalPostgres): Promise<void> {
  return withSql(database, async (sql) => {
    const [ledger] = await sql<{ there: boolean }[]>`select to_regclass('table_loader.leases') is not null as there`;
    if (!ledger?.there) return;
    await sql`update table_loader.batches set lease_until = now() where lease_until > now()`;
    await sql`update table_loader.plans set lease_until = now() where lease_until > now()`;
    await sql`delete from table_loader.leases`;
  });
}

const sampleSchema = new URL("../../config/sample-schema.sql", import.meta.url);
const contractsFile = fileURLToPath(new URL("../../config/tables.json", import.meta.url));

/** Makes the sample's tables as the role that owns the database; every statement of the file may run again. */
export function applySampleSchema(database: LocalPostgres): Promise<void> {
  return withSql(database, async (sql) => void (await sql.unsafe(await readFile(sampleSchema, "utf8"))));
}

async function withSql(place: LocalPostgres, work: (sql: postgres.Sql) => Promise<void>): Promise<void> {
  const { host, port, user, password, database } = place;
  const sql = postgres({ host, port, user, password, database, max: 1, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}

/** Uploads the contracts if the bucket's differ from the file's, as a deployment would. */
async function uploadContracts(bucket: LocalBucket): Promise<void> {
  const wanted = await readFile(contractsFile);
  const stored = await bucket.get(contractsKey);
  if (stored === null || !wanted.equals(stored)) await bucket.put(contractsKey, new Uint8Array(wanted));
}

/** Time that an editor may take to write a file in several steps. */
const settleMilliseconds = 100;

/** Uploads the contracts again when the file changes. */
function watchContracts(bucket: LocalBucket, onFault: (error: unknown) => void): { close(): void } {
  let timer: NodeJS.Timeout | undefined;
  // Watches the folder: many editors replace the file, which would end a watch of the file itself.
  const watcher = watch(fileURLToPath(new URL(".//", sampleSchema)), (_event, name) => {
    if (name !== "tables.json") return;
    clearTimeout(timer);
    timer = setTimeout(() => uploadContracts(bucket).catch(onFault), settleMilliseconds);
  });
  return {
    close() {
      clearTimeout(timer);
      watcher.close();
    },
  };
}
