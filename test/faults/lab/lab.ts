import { setTimeout as pause } from "node:timers/promises";
import type { BucketLimits } from "../../../lib/aws/bucket-access.ts";
import type { Pauses } from "../../../lib/local/interpreter.ts";
import type { FunctionName } from "../../../lib/local/lambda.ts";
import { openTestDatabase, type TestDatabase, testerName } from "../../support/database.ts";
import { openVersionedFlow, type VersionedFlow } from "../../versions/support.ts";
import { type Network, type OpenNetwork, openNetwork } from "./links.ts";
import { type LosableMachine, openLosableMachine } from "./losable-machine.ts";
import { openSandboxes, type Sandboxes } from "./sandboxes.ts";
import { type LabServer, openLabServer } from "./server.ts";

export type LabOptions = {
  /** JSON text of the contracts. @default config/tables.json */
  readonly contracts?: string;
  /** Settings over the lab's own. */
  readonly variables?: Readonly<Record<string, string>>;
  /** @default those of the loader */
  readonly bucketLimits?: Partial<BucketLimits>;
  /** Seconds after which a function is killed; it is told the deployed ones. @default what is deployed */
  readonly timeLimits?: Readonly<Partial<Record<FunctionName, number>>>;
  /** @default no pause at all */
  readonly pauses?: Pauses;
};

/**
 * The loader as it is deployed, as far as that goes on one machine, and everything that can befall it: handlers in
 * processes of their own, a database server of the lab's own, a bucket with versions, and disturbed ways to both.
 */
export type Lab = VersionedFlow & {
  readonly server: LabServer;
  readonly sandboxes: Sandboxes;
  readonly network: Network;
  /** The interpreter is thrown away with all its executions, as if each of them was forgotten. */
  loseMachine(): void;
  /** The database's server goes away, and with it whoever listens at its address. */
  loseDatabase(how: "crash" | "kill" | "stop"): Promise<void>;
  restoreDatabase(): Promise<void>;
  /** Until no function works and none of the loader's connections is left. */
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
  // first of all: nothing waits for what hangs
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
  // one connection each, as a Lambda has
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
