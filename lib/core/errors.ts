import { z } from "zod";

/** The four error names that the state machine matches; `code` tells the cause. */
export const errorNames = {
  transient: "TransientError",
  blocked: "BlockedError",
  permanent: "PermanentError",
  staleFence: "StaleFence",
} as const;

/**
 * Base of every error that leaves a handler. The message reads `CODE: subject, got, expected, fix`, because Step
 * Functions keeps only the name and the message of an error. It never contains a record's values.
 */
export abstract class LoaderError extends Error {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  /** `details` are for the log; their member `cause` becomes the error's cause. */
  constructor(code: string, text: string, details: Readonly<Record<string, unknown>> = {}) {
    const { cause, ...rest } = details;
    super(`${code}: ${text}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = rest;
  }

  /** The message without the code in front of it. */
  get text(): string {
    return this.message.slice(`${this.code}: `.length);
  }

  get fault(): Fault {
    return { code: this.code, message: this.text };
  }
}

/** A fault that passes by itself: the machine tries again with backoff and jitter. */
export class TransientError extends LoaderError {
  override readonly name = errorNames.transient;
}

/** The environment's fault: the batch does not fail, and goes on by itself when the fault is gone. */
export class BlockedError extends LoaderError {
  override readonly name = errorNames.blocked;
}

/** The batch's own fault: it fails, and trying again would fail again. */
export class PermanentError extends LoaderError {
  override readonly name = errorNames.permanent;
}

/** Another execution acts for the batch by now: the step ends and touches nothing. */
export class StaleFence extends LoaderError {
  override readonly name = errorNames.staleFence;

  constructor(batchId: string, fence: number) {
    super("STALE_FENCE", `fence ${fence} of ${batchId} is no longer the current one; another execution took over`, {
      batchId,
      fence,
    });
  }
}

const codedMessage = /^([A-Z][A-Z0-9_]+): ([\s\S]*)$/;

/** A fault as data, as it is kept in the ledger and in reports. */
export type Fault = { readonly code: string; readonly message: string };

/** Reads code and text from an error's message, all that Step Functions keeps; one without code gets `fallbackCode`. */
export function parseFault(message: string, fallbackCode: string): Fault {
  const match = codedMessage.exec(message);
  return match ? { code: match[1] as string, message: match[2] as string } : { code: fallbackCode, message };
}

/** Turns any thrown value into one of the four errors; an unforeseen one blocks the batch instead of failing it. */
export function toLoaderError(error: unknown): LoaderError {
  if (error instanceof LoaderError) return error;
  const kind = error instanceof Error ? error.name : typeof error;
  return new BlockedError("LOADER_BUG", `unexpected ${kind} in the loader; see the log of this invocation`, {
    cause: error,
  });
}

/** Names the places of a parser's faults and not the values there, which may be anything. */
export function faultsOf(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => [path.join("."), message].filter(Boolean).join(": ")).join("; ");
}

const payloadSchema = z.object({ errorType: z.string().default(""), errorMessage: z.string().default("") });

/**
 * The error that ended a Lambda, from its payload `{ errorType, errorMessage }`. An error that is not one of ours (a
 * timeout, a crash) becomes `FUNCTION_FAILED`.
 */
export function parseInvocationFault(payload: unknown, subject: string): LoaderError {
  const { errorType, errorMessage } = payloadSchema.safeParse(payload).data ?? { errorType: "", errorMessage: "" };
  const { code, message } = parseFault(errorMessage, "FUNCTION_FAILED");
  if (errorType === errorNames.transient) return new TransientError(code, message);
  if (errorType === errorNames.permanent) return new PermanentError(code, message);
  if (errorType === errorNames.blocked) return new BlockedError(code, message);
  const text = `function ${subject} ended with ${errorType || "an error"}: ${errorMessage}; see its log`;
  return new BlockedError("FUNCTION_FAILED", text);
}
