import middy from "@middy/core";
import type { Context } from "aws-lambda";
import type { z } from "zod";
import { classifyAwsError, classifyDatabaseError } from "../core/classify-error.ts";
import { BlockedError, type Fault, LoaderError, TransientError, toLoaderError } from "../core/errors.ts";
import { taskStates } from "../core/machine.ts";
import { measuresOfFault } from "../core/metrics.ts";
import { correlationOf } from "./correlation.ts";
import { emitMeasures, measureTask } from "./measures.ts";
import { logContext, logFault, openLog, withCorrelation } from "./telemetry.ts";
import { traceTask } from "./tracing.ts";

/** What a task works with, opened for one invocation. */
type Opened<Ports> = { readonly ports: Ports; close(): Promise<void> };

/** A Lambda handler around a step: everything that has nothing to do with its work. */
export type Task<Request, Answer, Ports> = {
  /** The state of the machine, or what the function does: `StageFragments`, `StartLoad`. */
  readonly name: string;
  readonly request: z.ZodType<Request>;
  readonly open: () => Promise<Opened<Ports>>;
  /** `deadline` in milliseconds since the epoch: when Lambda ends the invocation. */
  readonly step: (ports: Ports, request: Request, deadline: number) => Promise<Answer>;
  /** Notes why the batch does not move, as well as that is possible. @default nothing */
  readonly onBlocked?: (ports: Ports, request: Request, fault: Fault) => Promise<void>;
};

type TaskHandler<Answer> = (event: unknown, context: Context) => Promise<Answer>;

/**
 * The handler of a task: parses the event, opens the ports and always closes them, logs start and end, and throws
 * nothing but LoaderErrors, so that Lambda reports one of the four names that the machine matches.
 */
export function taskHandler<Request, Answer, Ports>(task: Task<Request, Answer, Ports>): TaskHandler<Answer> {
  // an early answer of middy's would end the invocation while the step still works
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
    // Logged above, redacted: a runtime that prints what a handler throws would print the driver's words with it.
    fault.cause = undefined;
    throw fault;
  }
}

async function perform<Request, Answer, Ports>(
  task: Task<Request, Answer, Ports>,
  event: unknown,
  deadline: number,
): Promise<Answer> {
  const request = parseRequest(task, event);
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
    // what the step has done is done; a connection that cannot be closed must not make a failure of it
    await opened.close().catch((error: unknown) => logFault("could not close", toFault(error, task.name)));
  }
}

/** A fault that passes blocks the load, too, from the time on that the machine has waited for it once. */
function isBlocking(fault: LoaderError, event: unknown): boolean {
  const { rounds = 0 } = (event ?? {}) as { rounds?: number };
  return fault instanceof BlockedError || (fault instanceof TransientError && rounds > 0);
}

/** Only our own machine and CLI call us, so a wrong event is a fault of the deployment and not of a batch. */
function parseRequest<Request>(
  { name, request }: { name: string; request: z.ZodType<Request> },
  event: unknown,
): Request {
  const parsed = request.safeParse(event);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => [path.join("."), message].filter(Boolean).join(": "));
  throw new BlockedError(
    "INPUT_INVALID",
    `event of ${name}: ${faults.join("; ")}; deploy machine and functions together`,
  );
}

function toFault(error: unknown, subject: string): LoaderError {
  if (error instanceof LoaderError) return error;
  return classifyDatabaseError(error) ?? classifyAwsError(error, subject) ?? toLoaderError(error);
}
