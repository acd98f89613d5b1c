import middy from "@middy/core";
import type { Context } from "aws-lambda";
import type { z } from "zod";
import { classifyAwsError, classifyDatabaseError } from "../core/classify-error.ts";
import { BlockedError, type Fault, LoaderError, TransientError, toLoaderError } from "../core/errors.ts";
import { taskStates } from "../core/machine.ts";
import { measuresOfFault } from "../core/metrics.ts";
import { emitMeasures, measureTask } from "./measures.ts";
import { correlationOf, logContext, logFault, openLog, withCorrelation } from "./telemetry.ts";
import { traceTask } from "./tracing.ts";

/** The step that a Lambda function runs, with what the frame around it needs. */
export type Task<Request, Answer, Ports> = {
  /** The state of the machine, or the name of a function outside it: `StageFragments`, `StartLoad`. */
  readonly name: string;
  readonly request: z.ZodType<Request>;
  /** Opens the ports of one invocation. */
  readonly open: () => Promise<{ readonly ports: Ports; close(): Promise<void> }>;
  /** `deadline`: the time when Lambda ends the invocation, in milliseconds since the epoch. */
  readonly step: (ports: Ports, request: Request, deadline: number) => Promise<Answer>;
  /** Notes why the batch is blocked; a failure to do so is only logged. @default nothing */
  readonly onBlocked?: (ports: Ports, request: Request, fault: Fault) => Promise<void>;
};

type TaskHandler<Answer> = (event: unknown, context: Context) => Promise<Answer>;

/**
 * The handler of a task: parses the event, opens the ports and always closes them, logs start and end.
 *
 * @throws only LoaderErrors, so that Lambda reports one of the four names that the machine matches
 */
export function taskHandler<Request, Answer, Ports>(task: Task<Request, Answer, Ports>): TaskHandler<Answer> {
  // middy's early timeout would end the invocation while the step still works
  return middy<unknown, Answer>({ timeoutEarlyInMillis: 0 })
    .use(logContext())
    .use(traceTask(task.name))
    .use(measureTask(task.name))
    .handler((event: unknown, context: Context) => {
      const deadline = Date.now() + context.getRemainingTimeInMillis();
      return withCorrelation({ task: task.name, ...correlationOf(event) }, () => invoke(task, event, deadline));
    }) as TaskHandler<Answer>;
}

async function invoke<Request, Answer, Ports>(
  task: Task<Request, Answer, Ports>,
  event: unknown,
  deadline: number,
): Promise<Answer> {
  const started = performance.now();
  const seconds = (): number => Math.round(performance.now() - started) / 1000;
  try {
    const answer = await perform(task, event, deadline);
    openLog().info(`${task.name} ended`, { seconds: seconds(), next: (answer as { next?: unknown } | null)?.next });
    return answer;
  } catch (error) {
    const fault = toFault(error, task.name);
    logFault(`${task.name} failed`, fault, { seconds: seconds() });
    const blocking = isBlocking(fault, event) && task.name in taskStates;
    emitMeasures(measuresOfFault(fault, { blocking }));
    // The log has it, redacted: a runtime prints the errors of a handler, and with them the driver's message.
    fault.cause = undefined;
    throw fault;
  }
}

async function perform<Request, Answer, Ports>(
  task: Task<Request, Answer, Ports>,
  event: unknown,
  deadline: number,
): Promise<Answer> {
  const request = parseRequest(task.name, task.request, event);
  const opened = await task.open();
  openLog().info(`${task.name} started`);
  try {
    return await task.step(opened.ports, request, deadline);
  } catch (error) {
    const fault = toFault(error, task.name);
    if (isBlocking(fault, event)) {
      const note = task.onBlocked?.(opened.ports, request, fault.fault);
      await note?.catch((other: unknown) =>
        logFault("why it is blocked could not be noted", toFault(other, task.name)),
      );
    }
    throw fault;
  } finally {
    // the step is done: a connection that cannot be closed must not turn it into a failure
    await opened.close().catch((error: unknown) => logFault("could not close", toFault(error, task.name)));
  }
}

/** A transient fault blocks the load as well once the machine has waited for it (`rounds`). */
function isBlocking(fault: LoaderError, event: unknown): boolean {
  const { rounds = 0 } = (event ?? {}) as { rounds?: number };
  return fault instanceof BlockedError || (fault instanceof TransientError && rounds > 0);
}

/** Only the machine and the CLI send events, so a wrong one is a fault of the deployment and not of a batch. */
function parseRequest<Request>(name: string, schema: z.ZodType<Request>, event: unknown): Request {
  const parsed = schema.safeParse(event);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => [path.join("."), message].filter(Boolean).join(": "));
  const text = `event of ${name}: ${faults.join("; ")}; deploy machine and functions together`;
  throw new BlockedError("INPUT_INVALID", text);
}

function toFault(error: unknown, subject: string): LoaderError {
  if (error instanceof LoaderError) return error;
  return classifyDatabaseError(error) ?? classifyAwsError(error, subject) ?? toLoaderError(error);
}
