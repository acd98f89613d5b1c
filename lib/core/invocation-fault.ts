import { z } from "zod";
import { BlockedError, errorNames, type LoaderError, PermanentError, parseFault, TransientError } from "./errors.ts";

const payloadSchema = z.object({ errorType: z.string().default(""), errorMessage: z.string().default("") });

/**
 * The error that a Lambda ended with, from what Lambda reports of it: `{ errorType, errorMessage }`. What is none of
 * ours (a timeout, a crash) becomes `FUNCTION_FAILED`.
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
