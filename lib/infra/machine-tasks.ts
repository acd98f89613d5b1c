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

/** Where each task's answer is kept in the machine's data. */
export const resultPaths = {
  ValidateBatch: "$.run",
  StageFragments: "$.stage",
  CommitBatch: "$.commit",
  ArchiveFragments: "$.archive",
  CloseBatch: "$.close",
  FailBatch: "$.fail",
  RollbackBatch: "$.rollback",
} as const satisfies Record<TaskState, string>;

/** What Lambda itself throws when the function was not to blame. */
export const lambdaServiceErrors = [
  "Lambda.ServiceException",
  "Lambda.AWSLambdaException",
  "Lambda.SdkClientException",
  "Lambda.ClientExecutionTimeoutException",
  "Lambda.Unknown",
  "Sandbox.Timedout",
  "Runtime.ExitError",
] as const;

/** More loads than the reserved concurrency takes at a time: no fault, they only have to wait longer. */
const throttled = "Lambda.TooManyRequestsException";

/** Ids only: no record, no list of fragments. */
type PayloadMember = "input" | "run" | "execution" | "rounds" | "worker" | "error";

type LoadTaskProps = {
  readonly state: TaskState;
  /** The published version that runs the state. */
  readonly handler: IFunction;
  readonly payload: readonly PayloadMember[];
  readonly maxRetries: number;
};

/** A task that runs one of our handlers: its answer replaces nothing but its own place in the data. */
export function loadTask(scope: Construct, props: LoadTaskProps): LambdaInvoke {
  const task = new LambdaInvoke(scope, props.state, {
    lambdaFunction: props.handler,
    payload: TaskInput.fromObject(payloadTemplate(props.payload)),
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

/** Some ten minutes; what is refused longer is blocked, which an alarm tells. */
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

/** The retrier of everything that passes by itself. Permanent, blocked and stale are never in it: trying again would change nothing. */
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

/** A choice over what a task answered: every answer it can give has a way, and `otherwise` takes what nobody foresaw. */
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

function payloadTemplate(members: readonly PayloadMember[]): Record<string, unknown> {
  return Object.fromEntries(members.map((member) => [member, JsonPath.objectAt(`$.${member}`)]));
}
