import { readFile } from "node:fs/promises";
import { type LocalMachine, machineArn, openMachine } from "../../lib/local/interpreter.ts";
import { openMachineEndpoint } from "../../lib/local/machine-endpoint.ts";
import { type Child, openChild } from "../child.ts";
import { openDatabase } from "../database.ts";
import { blood } from "../datasets.ts";
import type { Laboratory } from "../laboratory.ts";
import type { Usage } from "../meter.ts";
import { timed } from "../ours.ts";
import type { Around, AroundName } from "../scale/results.ts";

/** The functions outside the machine, warm: a sweep that finds nothing, and an arrival that starts a load. */

type Said = { readonly fault: string | null; readonly usage: Usage };

export async function measureAround(laboratory: Laboratory): Promise<Record<AroundName, Around>> {
  await using stack = new AsyncDisposableStack();
  const database = await openDatabase(laboratory.server, [blood()]);
  stack.defer(() => database.close());
  const machine = openIdleMachine();
  stack.defer(() => machine.close());
  const endpoint = await openMachineEndpoint(machine);
  stack.defer(() => endpoint.close());
  const variables = { ...database.variables, LOCAL_MACHINE_ENDPOINT: endpoint.url };
  const arrival = JSON.parse(
    await readFile(new URL("../../events/start-load.json", import.meta.url), "utf8"),
  ) as object;
  return {
    sweep: await measureWarm(laboratory, "sweep", { variables, event: {} }),
    "start-load": await measureWarm(laboratory, "start-load", { variables, event: arrival }),
  };
}

/** Step Functions as far as start-load sees it: what it starts ends at once. */
function openIdleMachine(): LocalMachine {
  return openMachine({ definition: { StartAt: "End", States: { End: { Type: "Succeed" } } }, functions: {} });
}

type Invoking = { readonly variables: Readonly<Record<string, string>>; readonly event: object };

async function measureWarm({ bundles, nodeFlags, objects }: Laboratory, name: AroundName, invoking: Invoking) {
  const { variables, event } = invoking;
  const child: Child<Said> = await openChild<Said>({
    file: "worker.ts",
    args: [name, bundles.get(name)?.file ?? ""],
    flags: nodeFlags,
    env: {
      ...variables,
      ...{ S3_BUCKET: objects.bucket, S3_VERSIONING: "disabled", AWS_REGION: "us-east-1", LOG_LEVEL: "INFO" },
      ...{ LOCAL_ENDPOINT: objects.endpoint, STATE_MACHINE_ARN: machineArn("us-east-1") },
      DEAD_LETTER_QUEUE_URL: `${objects.endpoint}/000000000000/dead`,
    },
  });
  try {
    await child.ask(event);
    const { seconds, result } = await timed(() => child.ask(event));
    if (result.fault !== null) throw new Error(`${name}: ${result.fault}`);
    return { wall: seconds, ...result.usage };
  } finally {
    await child.close();
  }
}
