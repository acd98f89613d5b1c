import { AsyncLocalStorage } from "node:async_hooks";
import { Logger } from "@aws-lambda-powertools/logger";
import { injectLambdaContext } from "@aws-lambda-powertools/logger/middleware";
import type { MiddlewareObj } from "@middy/core";
import { LoaderError, StaleFence, TransientError } from "../core/errors.ts";
import { serviceName } from "../core/machine.ts";
import type { Log } from "../core/ports.ts";

/** The only Powertools logger: one JSON line each, line breaks escaped, no record values. */

type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR" | "CRITICAL" | "SILENT";
type LogFields = Readonly<Record<string, unknown>>;

const logger = new Logger({ serviceName, jsonReplacerFn: (_key, value) => redactError(value) });

/** Locally several handlers run in one process at once, and each has ids of its own. */
const correlation = new AsyncLocalStorage<LogFields>();

let level: LogLevel | null = null;

/** Sets the least level that is written; SILENT writes nothing. */
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

/** Everything that `run` logs carries these ids. */
export function withCorrelation<Answer>(ids: LogFields, run: () => Promise<Answer>): Promise<Answer> {
  return correlation.run(ids, run);
}

/** Logs an error by its code. What passes by itself, or is somebody else's business by now, is a warning. */
export function logFault(message: string, error: LoaderError, fields: LogFields = {}): void {
  const line = { ...correlation.getStore(), ...fields, code: error.code, error };
  if (error instanceof TransientError || error instanceof StaleFence) logger.warn(message, line);
  else logger.error(message, line);
}

/** The ids of what this invocation works for. */
export function correlationIds(): LogFields {
  return correlation.getStore() ?? {};
}

/** Adds function and request id to every line; the sampling in it would put the level back to the environment's. */
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
 * An error as it may be logged. Messages of LoaderErrors are ours; those of drivers and clients may hold values or
 * credentials, so that only their name, code and place are kept.
 */
function redactError(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { name, message, cause } = value;
  const code = "code" in value ? String(value.code) : undefined;
  const stack = framesOf(value);
  if (!(value instanceof LoaderError)) return { name, code, stack };
  return { name, code, message, stack, ...(cause instanceof Error ? { cause: redactError(cause) } : {}) };
}

/** Where an error was thrown, without its text. */
export function framesOf({ stack = "", message }: Error): string[] {
  const frames = stack.includes(message) ? stack.slice(stack.indexOf(message) + message.length) : stack;
  return frames
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("at "));
}
