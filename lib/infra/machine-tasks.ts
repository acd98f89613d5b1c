import { Duration } from "aws-cdk-lib";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import {
  type CatchProps,
  type Choice,
  Condition,
  type IChainable,
  JitterType,
  JsonPath,
  type RetryProps,
  TaskInput,
  Timeout,
} from "aws-cdk-lib/aws-stepfunctions";
import { LambdaInvoke } from "aws-cdk-lib/aws-stepfunctions-tasks";
import type { Construct } from "constructs";
import { taskTimeoutSeconds, throttledWait } from "../core/durations.ts";
import { errorNames } from "../core/errors.ts";
import type { Answer, TaskState } from "../core/machine.ts";

/** The tasks of the machine: payload, retries, catches, and the choices over their answers. */

/** Paths of the tasks' answers in the machine's data. */
export const resultPaths = {
  ValidateBatch: "$.run",
  StageFragments: "$.stage",
  CommitBatch: "$.commit",
  ArchiveFragments: "$.archive",
  CloseBatch: "$.close",
  FailBatch: "$.fail",
  RollbackBatch: "$.rollback",
} as const satisfies Record<TaskState, string>;

/** Errors of Lambda itself, not of the function. */
export const lambdaServiceErrors = [
  "Lambda.ServiceException",
  "Lambda.AWSLambdaException",
  "Lambda.SdkClientException",
  "Lambda.ClientExecutionTimeoutException",
  "Lambda.Unknown",
  "Sandbox.Timedout",
  "Runtime.ExitError",
] as const;

/** More invocations than the reserved concurrency allows: no fault, they only have to wait longer. */
const throttled = "Lambda.TooManyRequestsException";

/** Members of the machine's data. They hold ids, but no record and no list of fragments. */
export type PayloadMember = "input" | "run" | "execution" | "rounds" | "worker" | "error";

type LoadTaskProps = {
  readonly state: TaskState;
  /** The published version that runs the state. */
  readonly handler: IFunction;
  readonly payload: readonly PayloadMember[];
  readonly maxRetries: number;
};

/** A task that runs a handler of the loader; its answer goes to its own path and keeps the other data. */
export function loadTask(scope: Construct, props: LoadTaskProps): LambdaInvoke {
  const members = props.payload.map((member) => [member, JsonPath.objectAt(`$.${member}`)]);
  const task = new LambdaInvoke(scope, props.state, {
    lambdaFunction: props.handler,
    payload: TaskInput.fromObject(Object.fromEntries(members)),
    payloadResponseOnly: true,
    resultPath: resultPaths[props.state],
    retryOnServiceExceptions: false,
    taskTimeout: Timeout.duration(Duration.seconds(taskTimeoutSeconds)),
  });
  retryThrottled(task);
  retryTransientFaults(task, [errorNames.transient, ...lambdaServiceErrors], props.maxRetries);
  return task;
}

type Retryable = { addRetry(props: RetryProps): unknown };

/** Retries for some ten minutes; a task that is throttled longer is blocked, which raises an alarm. */
function retryThrottled(task: Retryable): void {
  task.addRetry({
    errors: [throttled],
    interval: Duration.seconds(throttledWait.firstSeconds),
    backoffRate: throttledWait.growth,
    maxAttempts: 30,
    maxDelay: Duration.seconds(throttledWait.longestSeconds),
    jitterStrategy: JitterType.FULL,
  });
}

/** Retries errors that pass by themselves, so never permanent, blocked or stale ones. */
export function retryTransientFaults(task: Retryable, errors: readonly string[], maxRetries: number): void {
  task.addRetry({
    errors: [...errors],
    interval: Duration.seconds(2),
    backoffRate: 2,
    maxAttempts: maxRetries,
    maxDelay: Duration.seconds(60),
    jitterStrategy: JitterType.FULL,
  });
}

/** Catches keep the data and put the error at `$.error`. */
export const keepingError: CatchProps = { resultPath: "$.error" };

/** Adds a way for every answer that a task can give; the caller adds `otherwise` for any other text. */
export function routeAnswers<State extends TaskState>(
  choice: Choice,
  state: State,
  ways: Readonly<Record<Answer<State>, IChainable>>,
): Choice {
  for (const [answer, way] of Object.entries<IChainable>(ways)) choice.when(answered(state, answer), way);
  return choice;
}

export function answered(state: TaskState, answer: string): Condition {
  return Condition.stringEquals(`${resultPaths[state]}.next`, answer);
}
