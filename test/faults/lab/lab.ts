import { setTimeout as pause } from "node:timers/promises";
import type { BucketLimits } from "../../../lib/aws/bucket-access.ts";
import { type LocalMachine, type MachineOptions, openMachine, type Pauses } from "../../../lib/local/interpreter.ts";
import type { FunctionName, LambdaFunction } from "../../../lib/local/lambda.ts";
import { openTestDatabase, type TestDatabase, testerName } from "../../support/database.ts";
import { openVersionedFlow, type VersionedFlow } from "../../versions/support.ts";
import { type Network, type OpenNetwork, openNetwork } from "./links.ts";
import { openSandboxes, type Sandboxes } from "./sandboxes.ts";
import { type LabServer, openLabServer } from "./server.ts";

type LabOptions = {
  /** JSON text of the contracts. @default config/tables.json */
  readonly contracts?: string;
  /** Settings over the lab's own. */
  readonly variables?: Readonly<Record<string, string>>;
  /** @default those of the loader */
  readonly bucketLimits?: Partial<BucketLimits>;
  /** Seconds after which a function is killed; it is told the deployed ones. @default the deployed ones */
  readonly timeLimits?: Readonly<Partial<Record<FunctionName, number>>>;
  /** @default no pause at all */
  readonly pauses?: Pauses;
};

/**
 * The loader as it is deployed, as far as that goes on one machine, and all faults that can hit it: handlers in
 * processes of their own, a database server of the lab's own, a bucket with versions, and disturbed ways to both.
 */
export type Lab = VersionedFlow & {
  readonly server: LabServer;
  readonly sandboxes: Sandboxes;
  readonly network: Network;
  /** Replaces the interpreter, so that all its executions are lost. */
  loseMachine(): void;
  /** Ends the database's server; nothing listens at its address any more. */
  loseDatabase(how: "crash" | "kill" | "stop"): Promise<void>;
  restoreDatabase(): Promise<void>;
  /** Waits until no function works and none of the loader's connections is left. */
  quiet(): Promise<void>;
};

export async function openLab(options: LabOptions = {}): Promise<Lab> {
  await using stack = new AsyncDisposableStack();
  const server = await openLabServer();
  stack.defer(() => server.close());
  const opened: Partial<Opened> = {};
  const flow = await openVersionedFlow({
    ...pick(options),
    openDatabase: () => openTestDatabase(server.server),
    openMachine: (machine) => {
      opened.machine = openLosableMachine(machine);
      return opened.machine;
    },
    openFunctions: (variables) => openFunctions(opened, options, variables),
  });
  stack.defer(() => flow.close());
  const { machine, sandboxes, network } = opened as Opened;
  // The sandboxes close first, so that nothing waits for one that hangs.
  stack.defer(() => sandboxes.close());
  const owned = stack.move();
  return {
    ...flow,
    server,
    sandboxes,
    network,
    loseMachine: () => machine.lose(),
    async loseDatabase(how) {
      await network.refuseDatabase();
      await server[how]();
    },
    async restoreDatabase() {
      await server.start();
      await network.acceptDatabase();
    },
    quiet: () => waitForQuiet(flow.database, sandboxes),
    close: () => owned.disposeAsync(),
  };
}

type Opened = { machine: LosableMachine; sandboxes: Sandboxes; network: OpenNetwork };

function pick({ contracts, variables, pauses }: LabOptions) {
  // One connection each, as a Lambda has.
  const own = { LOG_LEVEL: "INFO", DB_POOL_MIN: "0", DB_POOL_MAX: "1", ...variables };
  return { variables: own, ...(contracts === undefined ? {} : { contracts }), ...(pauses ? { pauses } : {}) };
}

function openFunctions(opened: Partial<Opened>, options: LabOptions, variables: Readonly<Record<string, string>>) {
  const { DB_PORT, LOCAL_ENDPOINT: bucketEndpoint = "" } = variables;
  opened.network = openNetwork({ databasePort: Number(DB_PORT), bucketEndpoint });
  opened.sandboxes = openSandboxes({
    network: opened.network,
    variables,
    limits: JSON.stringify(options.bucketLimits ?? {}),
    timeLimits: options.timeLimits ?? {},
  });
  return opened.sandboxes.load;
}

async function waitForQuiet({ sql }: TestDatabase, sandboxes: Sandboxes): Promise<void> {
  for (;;) {
    const left = await sql`
      select from pg_stat_activity
      where datname = current_database() and application_name <> ${testerName} and backend_type = 'client backend'`;
    if (left.length === 0 && sandboxes.working().length === 0) return;
    await pause(20);
  }
}

type LosableMachine = LocalMachine & {
  /** Puts a new interpreter in its place, which knows none of the executions. */
  lose(): void;
};

type Interpreter = { readonly machine: LocalMachine; lost: boolean };

function openLosableMachine(options: MachineOptions): LosableMachine {
  let current = openInterpreter(options);
  return {
    arn: current.machine.arn,
    start: (name, input) => current.machine.start(name, input),
    find: (arn) => current.machine.find(arn),
    list: () => current.machine.list(),
    settle: (arn) => current.machine.settle(arn),
    stop: (arn, reason) => current.machine.stop(arn, reason),
    lose: () => {
      current.lost = true;
      // It waits for functions that never answer any more.
      void current.machine.close();
      current = openInterpreter(options);
    },
    close: () => current.machine.close(),
  };
}

/** An interpreter that gets no answer of its functions once it is lost: aborted, it would still retry. */
function openInterpreter(options: MachineOptions): Interpreter {
  const never = new Promise<never>(() => undefined);
  const interpreter: { lost: boolean } = { lost: false };
  const deafen = (lambda: LambdaFunction): LambdaFunction => ({
    ...lambda,
    handler: async (event, context) => {
      const ended = await Promise.allSettled([interpreter.lost ? never : lambda.handler(event, context)]);
      const [outcome] = interpreter.lost ? await never : ended;
      if (outcome.status === "rejected") throw outcome.reason;
      return outcome.value;
    },
  });
  const functions = Object.fromEntries(Object.entries(options.functions).map(([state, one]) => [state, deafen(one)]));
  return Object.assign(interpreter, { machine: openMachine({ ...options, functions }) });
}
