import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  GetExecutionHistoryCommand,
  type HistoryEvent,
  SFNClient,
  StartExecutionCommand,
} from "@aws-sdk/client-sfn";
import { region, rootCredentials } from "../deploy/emulator.ts";
import type { Ended } from "../deploy/pipeline.ts";
import { until } from "../deploy/waiting.ts";

/** A machine's states by name; only what a test changes is typed. */
export type Definition = {
  readonly States: Readonly<Record<string, { TimeoutSeconds?: number; Parameters?: Record<string, unknown> }>>;
};

export type Interpreter = {
  /** A machine of the deployed definition, after `change`; ARN. */
  create(name: string, change?: (definition: Definition) => void): Promise<string>;
  start(machineArn: string, input: object): Promise<string>;
  history(executionArn: string): Promise<HistoryEvent[]>;
  ended(executionArn: string): Promise<Ended>;
};

/**
 * moto's interpreter, which takes the language more strictly than the emulator does. Its tasks call the functions on the
 * emulator.
 *
 * @param definition JSON text, as it was deployed
 */
export async function openInterpreter(endpoint: string, definition: string): Promise<Interpreter> {
  const config = { stepfunctions: { execute_state_machine: true } };
  const answer = await fetch(`${endpoint}/moto-api/config`, { method: "POST", body: JSON.stringify(config) });
  if (!answer.ok) throw new Error(`moto: expected to be told to run machines, got ${answer.status}`);
  const sfn = new SFNClient({ region, endpoint, credentials: rootCredentials });
  const roleArn = "arn:aws:iam::123456789012:role/machine";
  const describe = (executionArn: string) => sfn.send(new DescribeExecutionCommand({ executionArn }));
  return {
    async create(name, change = () => {}) {
      const changed = JSON.parse(definition) as Definition;
      change(changed);
      const command = new CreateStateMachineCommand({ name, definition: JSON.stringify(changed), roleArn });
      return (await sfn.send(command)).stateMachineArn ?? "";
    },
    async start(stateMachineArn, input) {
      const command = new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input) });
      return (await sfn.send(command)).executionArn ?? "";
    },
    async history(executionArn) {
      const { events = [] } = await sfn.send(new GetExecutionHistoryCommand({ executionArn, maxResults: 1000 }));
      return events;
    },
    async ended(executionArn) {
      const found = `execution ${executionArn} to end`;
      const ended = async () => (await describe(executionArn)).status !== "RUNNING";
      await until(found, ended, () => describe(executionArn));
      const { status = "", error = null, output } = await describe(executionArn);
      return { status, error, output: output === undefined ? null : JSON.parse(output) };
    },
  };
}

/** The definition that a stack has deployed. */
export async function deployedDefinition(sfn: SFNClient, stateMachineArn: string): Promise<string> {
  const { definition = "" } = await sfn.send(new DescribeStateMachineCommand({ stateMachineArn }));
  return definition;
}

/** The states that an execution has entered, in order. */
export const visited = (events: readonly HistoryEvent[]): string[] =>
  events.flatMap(({ stateEnteredEventDetails: entered }) => (entered?.name ? [entered.name] : []));

/** The names of the errors that its tasks have thrown, in order. */
export const thrown = (events: readonly HistoryEvent[]): string[] =>
  events.flatMap(({ lambdaFunctionFailedEventDetails: failed, lambdaFunctionTimedOutEventDetails: timedOut }) => {
    const { error } = failed ?? timedOut ?? {};
    return error === undefined ? [] : [error];
  });
