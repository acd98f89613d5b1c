import { randomUUID } from "node:crypto";
import { lambdaTimeoutSeconds } from "../core/durations.ts";
import { type otherFunctions, taskStates } from "../core/machine.ts";

/** Deployed handlers, invoked as Lambda does. */

/** A deployed handler, as a file in functions/ exports it. */
export type Handler = (event: unknown, context: LambdaContext) => unknown;

/** The context object of an invocation, as far as handlers read it. */
export type LambdaContext = {
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  readonly callbackWaitsForEmptyEventLoop: boolean;
  getRemainingTimeInMillis(): number;
  done(): void;
  fail(): void;
  succeed(): void;
};

export type LambdaFunction = {
  /** The name of its file: `stage-fragments`. */
  readonly name: string;
  readonly handler: Handler;
  /** @default 900, as on AWS */
  readonly timeLimitSeconds?: number;
};

/** The error of an invocation, as Step Functions receives it: `name` is Error, `message` is Cause. */
export class LambdaFault extends Error {
  constructor(error: unknown) {
    const { errorType, errorMessage, trace } = describe(error);
    super(JSON.stringify({ errorType, errorMessage, trace }), { cause: error });
    this.name = errorType;
  }
}

const traceLines = 10;

function describe(error: unknown): { errorType: string; errorMessage: string; trace: string[] } {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? "").split("\n", traceLines) };
}

/**
 * Invokes a handler as Lambda would: only JSON goes in and comes out, so that no object, date or undefined is shared by
 * accident. The context states the time limit; nothing enforces it, since a promise cannot be killed.
 *
 * @throws LambdaFault
 */
export async function invokeLambda(lambda: LambdaFunction, event: unknown): Promise<unknown> {
  try {
    return copyAsJson(await lambda.handler(copyAsJson(event), createContext(lambda)));
  } catch (error) {
    throw new LambdaFault(error);
  }
}

function copyAsJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value) ?? "null");
}

function createContext({ name, timeLimitSeconds = lambdaTimeoutSeconds }: LambdaFunction): LambdaContext {
  const end = performance.now() + timeLimitSeconds * 1_000;
  return {
    functionName: name,
    functionVersion: "$LATEST",
    invokedFunctionArn: `arn:aws:lambda:us-east-1:000000000000:function:${name}`,
    memoryLimitInMB: "512",
    awsRequestId: randomUUID(),
    logGroupName: `/aws/lambda/${name}`,
    logStreamName: "local",
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, Math.round(end - performance.now())),
    done: () => {},
    fail: () => {},
    succeed: () => {},
  };
}

export type FunctionName = (typeof taskStates)[keyof typeof taskStates] | (typeof otherFunctions)[number];
export type LoadFunction = (name: FunctionName) => Promise<LambdaFunction>;

/** Imports a deployed handler. Set the environment first: a handler may read its settings when it is imported. */
export async function loadFunction(name: FunctionName): Promise<LambdaFunction> {
  const { handler } = (await import(`../../functions/${name}.ts`)) as { handler?: Handler };
  if (typeof handler === "function") return { name, handler };
  throw new Error(`LOCAL_HANDLER_MISSING: functions/${name}.ts exports no function named handler`);
}

/** Loads the functions of all task states, by the state's name. */
export async function loadTaskFunctions(load: LoadFunction = loadFunction): Promise<Record<string, LambdaFunction>> {
  const loading = Object.entries(taskStates).map(async ([state, name]) => [state, await load(name)] as const);
  return Object.fromEntries(await Promise.all(loading));
}
