import { AsyncLocalStorage } from "node:async_hooks";
import { Logger } from "@aws-lambda-powertools/logger";
import { injectLambdaContext } from "@aws-lambda-powertools/logger/middleware";
import type { MiddlewareObj } from "@middy/core";
import { z } from "zod";
import { LoaderError, StaleFence, TransientError } from "../core/errors.ts";
import { serviceName } from "../core/machine.ts";
import type { Log } from "../core/ports.ts";

/**
 * The only Powertools logger, and the ids on its lines. A line is one JSON object with escaped line breaks and without
 * record values.
 */

type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR" | "CRITICAL" | "SILENT";
type LogFields = Readonly<Record<string, unknown>>;

const logger = new Logger({ serviceName, jsonReplacerFn: (_key, value) => redactError(value) });

/** The ids of each invocation: a local process runs several handlers at once. */
const correlation = new AsyncLocalStorage<LogFields>();

let level: LogLevel | null = null;

/** Sets the lowest level that is written; SILENT writes nothing. */
export function setLogLevel(newLevel: LogLevel): void {
  level = newLevel;
  logger.setLogLevel(newLevel);
}

export function openLog(): Log {
  return {
    info: (message, fields) => logger.info(message, { ...correlation.getStore(), ...fields }),
    warn: (message, fields) => logger.warn(message, { ...correlation.getStore(), ...fields }),
  };
}

/** Runs a function; every line that it logs carries these ids. */
export function withCorrelation<Answer>(ids: LogFields, run: () => Promise<Answer>): Promise<Answer> {
  return correlation.run(ids, run);
}

/** Logs an error by its code: as a warning if it passes by itself or another execution acts on the batch by now. */
export function logFault(message: string, error: LoaderError, fields: LogFields = {}): void {
  const line = { ...correlation.getStore(), ...fields, code: error.code, error };
  if (error instanceof TransientError || error instanceof StaleFence) logger.warn(message, line);
  else logger.error(message, line);
}

/** The ids on the lines of the current invocation. */
export function correlationIds(): LogFields {
  return correlation.getStore() ?? {};
}

const id = z
  .union([z.string().transform((text) => text.slice(0, 128)), z.number()])
  .optional()
  .catch(undefined);
const none = {};

/** The ids in an event of the machine; a value of another type is left out. */
const ids = z.object({
  batchId: id,
  execution: id,
  worker: id,
  input: z.object({ batchId: id }).catch(none),
  run: z.object({ batchId: id, runId: id, planId: id, fence: id, epoch: id, attempt: id }).catch(none),
});

/** The ids of an event by which all lines of a batch, an execution or a plan can be found; never throws. */
export function correlationOf(event: unknown): Record<string, string | number> {
  const { input, run, ...top } = ids.catch({ input: none, run: none }).parse(event);
  const found = Object.entries({ ...input, ...run, ...top }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(found) as Record<string, string | number>;
}

/** Adds function and request id to every line, and sets the level again, which Powertools' sampling would reset. */
export function logContext(): MiddlewareObj {
  const { before, ...others } = injectLambdaContext(logger) as MiddlewareObj;
  return {
    ...others,
    before: (request) => {
      before?.(request);
      if (level !== null) logger.setLogLevel(level);
    },
  };
}

/**
 * An error as it may be logged. The loader writes the messages of LoaderErrors; those of drivers and clients may hold
 * values or credentials, so only their name, code and place are kept.
 */
function redactError(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { name, message, cause } = value;
  const code = "code" in value ? String(value.code) : undefined;
  const stack = framesOf(value);
  if (!(value instanceof LoaderError)) return { name, code, stack };
  return { name, code, message, stack, ...(cause instanceof Error ? { cause: redactError(cause) } : {}) };
}

/** The stack frames of an error, without its text. */
export function framesOf({ stack = "", message }: Error): string[] {
  const frames = stack.includes(message) ? stack.slice(stack.indexOf(message) + message.length) : stack;
  return frames
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("at "));
}
