import { rm } from "node:fs/promises";
import { overrideEnvironment } from "../config.ts";
import type { LocalBucket } from "./bucket.ts";
import { claimDirectory, removeEnvironmentFile, writeEnvironmentFile } from "./environment-file.ts";
import { openParts } from "./environment-parts.ts";
import { toVariables, urlOf } from "./environment-variables.ts";
import type { ExecutionRecord, MachineEvent } from "./execution-record.ts";
import { findFreePort } from "./free-port.ts";
import { type FunctionName, type LoadFunction, loadFunction, loadTaskFunctions } from "./functions.ts";
import { type LocalMachine, openMachine, randomExecutionName } from "./interpreter.ts";
import { invokeLambda } from "./lambda.ts";
import { endLeases } from "./leases.ts";
import { type LocalEntrances, openLocalEntrances } from "./local-entrances.ts";
import { openMachineEndpoint } from "./machine-endpoint.ts";
import type { Notice } from "./machine-tasks.ts";
import type { ObjectCreatedEvent } from "./object-event.ts";
import { makeTemporaryDirectory } from "./postgres-binaries.ts";
import { applySampleSchema, uploadContracts, watchContracts } from "./sample-setup.ts";
import { openSweepTimer } from "./sweep-timer.ts";

export type LocalEvent =
  | { readonly kind: "step"; readonly step: MachineEvent }
  | { readonly kind: "arrival"; readonly arrival: ObjectCreatedEvent }
  | { readonly kind: "notice"; readonly notice: Notice }
  /** Something went wrong in the environment itself; it goes on. */
  | { readonly kind: "fault"; readonly error: unknown };

export type LocalEnvironmentOptions = {
  /** Where everything is kept; null is a temporary place, removed on close. */
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
  /** Starts an execution; `ended` is its record when it has ended. */
  start(input: object): { readonly executionArn: string; readonly ended: Promise<ExecutionRecord> };
  /** Invokes a deployed handler, for example `operate`. */
  invoke(name: FunctionName, event: unknown): Promise<unknown>;
  close(): Promise<void>;
};

/** Opens database, bucket, queue and machine on this machine, and points this process's handlers at them. */
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
  // Before any handler is imported: it may read its settings then.
  overrideEnvironment(variables);
  const invoke = async (name: FunctionName, event: unknown): Promise<unknown> => invokeLambda(await load(name), event);
  await invoke("migrate", {});
  if (persistent) await endLeases(database);
  await applySampleSchema(database);
  await uploadContracts(bucket);
  const machine = await openLoadMachine(stack, { definition, machinePort, load, onEvent });
  entrances = await openEntrances(stack, { bucket, load, options });
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

type EntrancePlaces = {
  readonly bucket: LocalBucket;
  readonly load: LoadFunction;
  readonly options: LocalEnvironmentOptions;
};

/** What starts loads by itself: arrivals, the sweep, and the contracts' file when it changes. */
async function openEntrances(
  stack: AsyncDisposableStack,
  { bucket, load, options }: EntrancePlaces,
): Promise<LocalEntrances> {
  const onFault = (error: unknown): void => options.onEvent?.({ kind: "fault", error });
  const entrances = openLocalEntrances({ bucket, startLoad: await load("start-load"), onFault });
  stack.defer(entrances.close);
  const watcher = watchContracts(bucket, onFault);
  stack.defer(() => watcher.close());
  if (options.automatic === false) return entrances;
  entrances.start();
  const timer = openSweepTimer({ sweep: await load("sweep"), everySeconds: options.sweepSeconds ?? 30, onFault });
  stack.defer(timer.close);
  return entrances;
}
