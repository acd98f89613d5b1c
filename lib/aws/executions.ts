import {
  DescribeExecutionCommand,
  type DescribeExecutionCommandOutput,
  SFNClient,
  StartExecutionCommand,
} from "@aws-sdk/client-sfn";
import { classifyAwsError } from "../core/classify-error.ts";
import { BlockedError } from "../core/errors.ts";
import type {
  ExecutionInput,
  ExecutionState,
  ExecutionStatus,
  Executions,
  Started,
  StartOptions,
} from "../core/execution.ts";
import { callAws, type ServiceAddress, toClientConfig } from "./client-config.ts";

type Machine = { readonly client: SFNClient; readonly stateMachineArn: string };

/** The executions of one state machine. */
export function openExecutions(options: ServiceAddress & { stateMachineArn: string }): Executions & { close(): void } {
  const machine = { client: new SFNClient(toClientConfig(options)), stateMachineArn: options.stateMachineArn };
  return {
    start: (name, input, options = {}) => start(machine, name, input, options),
    describe: (executionArn) => describe(machine, executionArn),
    find: (executionArn) => find(machine, executionArn),
    close: () => machine.client.destroy(),
  };
}

const mostTries = 20;
const longestName = 80;

/**
 * Step Functions keeps a name for 90 days, even that of a failed execution; then the same arrivals get the next suffix.
 * (It answers a second start with the same name and input with the execution that runs.)
 *
 * @throws BlockedError EXECUTION_NAMES_USED after 20 names
 */
async function start(
  machine: Machine,
  name: string,
  input: ExecutionInput,
  { again = false }: StartOptions,
): Promise<Started> {
  for (let tries = 1; tries <= mostTries; tries += 1) {
    const suffix = tries === 1 ? "" : `-${tries}`;
    const fullName = `${name.slice(0, longestName - suffix.length)}${suffix}`;
    const started = await tryStart(machine, fullName, input);
    if (started !== null) return { executionArn: started, duplicate: false };
    const executionArn = executionArnOf(machine.stateMachineArn, fullName);
    const { status } = await describe(machine, executionArn);
    if (status === "RUNNING" || (status === "SUCCEEDED" && !again)) return { executionArn, duplicate: true };
  }
  const text = `execution ${name}: expected at most ${mostTries} failed ones for the same arrivals; start the batch by hand`;
  throw new BlockedError("EXECUTION_NAMES_USED", text, { name });
}

/** The ARN of a new execution; null if the name is taken. */
async function tryStart(machine: Machine, name: string, input: ExecutionInput): Promise<string | null> {
  const { client, stateMachineArn } = machine;
  try {
    const command = new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) });
    const { executionArn } = await client.send(command);
    return executionArn ?? executionArnOf(stateMachineArn, name);
  } catch (error) {
    if ((error as { name?: unknown }).name === "ExecutionAlreadyExists") return null;
    throw classifyAwsError(error, `state machine ${stateMachineArn}`) ?? error;
  }
}

function describe(machine: Machine, executionArn: string): Promise<ExecutionState> {
  return callAws(`execution ${executionArn}`, () => describeRaw(machine, executionArn));
}

/** Step Functions forgets an execution after 90 days. A text that is no ARN of an execution is not found either. */
async function find(machine: Machine, executionArn: string): Promise<ExecutionState | null> {
  try {
    return await describeRaw(machine, executionArn);
  } catch (error) {
    if (["ExecutionDoesNotExist", "InvalidArn"].includes((error as Error).name)) return null;
    throw classifyAwsError(error, `execution ${executionArn}`) ?? error;
  }
}

async function describeRaw({ client }: Machine, executionArn: string): Promise<ExecutionState> {
  const found = await client.send(new DescribeExecutionCommand({ executionArn }));
  const { output = null, error = null, cause = null } = found;
  return { status: toStatus(found), output, error, cause };
}

const ended: readonly string[] = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"] satisfies ExecutionStatus[];

/** An execution that waits for its redrive counts as running. */
function toStatus({ status }: DescribeExecutionCommandOutput): ExecutionStatus {
  return status !== undefined && ended.includes(status) ? (status as ExecutionStatus) : "RUNNING";
}

/** `arn:aws:states:<region>:<account>:stateMachine:<machine>` -> `...:execution:<machine>:<name>` */
function executionArnOf(stateMachineArn: string, name: string): string {
  const [arn, partition, states, region, account, , machine] = stateMachineArn.split(":");
  return [arn, partition, states, region, account, "execution", machine, name].join(":");
}
