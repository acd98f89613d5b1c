import { expect, test } from "vitest";
import { CliError, exitCodeOf, toCliFault } from "../../lib/cli/outcomes.ts";
import { BlockedError, PermanentError, parseInvocationFault, TransientError } from "../../lib/core/errors.ts";
import type { ExecutionState } from "../../lib/core/execution.ts";
import { readOutcome } from "../../lib/core/outcome.ts";

const failed = (error: string, cause: string): ExecutionState => ({ status: "FAILED", output: null, error, cause });
const succeeded = (output: object): ExecutionState => ({
  status: "SUCCEEDED",
  output: JSON.stringify(output),
  error: null,
  cause: null,
});
const closed = (status: string) => succeeded({ batch_id: "b", status, records_read: 1 });
const recorded = (next: string, code: string) => succeeded({ batchId: "b", next, code, message: "why" });
const gaveUp = JSON.stringify({ errorType: "BlockedError", errorMessage: "DB_AUTH: the login is refused" });

test.each([
  ["a load", closed("success"), "loaded", 0],
  ["a redelivery", closed("already_processed"), "loaded", 0],
  ["a load in part", closed("partial_success"), "loaded", 1],
  ["a preview", closed("preview"), "previewed", 0],
  ["loaded before", recorded("already_processed", "EVT_DUPLICATE"), "already_processed", 0],
  ["waiting", recorded("wait", "NOT_APPROVED"), "waiting", 3],
  ["busy", recorded("busy", "BATCH_BUSY"), "busy", 3],
  ["taken over", succeeded({ run: {}, error: {} }), "busy", 3],
  ["not approved", failed("NOT_APPROVED", "why"), "waiting", 3],
  ["no fragment", failed("BATCH_EMPTY", "why"), "waiting", 3],
  ["bad input", failed("INPUT_INVALID", "why"), "refused", 2],
  ["a target that is not there", failed("TARGET_UNSUPPORTED", "why"), "refused", 2],
  ["failed before", failed("BATCH_FAILED", "why"), "failed_before", 1],
  ["rejected records", failed("RECORDS_REJECTED", "why"), "failed", 1],
  ["a table without contract", failed("TABLE_UNKNOWN", "why"), "failed", 1],
  ["blocked for good", failed("BlockedError", gaveUp), "blocked", 4],
  ["an aborted execution", { status: "ABORTED", output: null, error: null, cause: null } as const, "aborted", 5],
  ["a machine at fault", failed("States.Runtime", "why"), "aborted", 5],
])("%s", (_, state, kind, exitCode) => {
  const outcome = readOutcome(state);
  expect({ kind: outcome.kind, exitCode: exitCodeOf(outcome) }).toEqual({ kind, exitCode });
});

test("reads the code of what blocked from what Lambda said", () => {
  const outcome = readOutcome(failed("BlockedError", gaveUp));
  expect(outcome).toEqual({ kind: "blocked", code: "DB_AUTH", message: "the login is refused" });
  const text = "LOADER_BUG: a task gave an answer that the machine does not know";
  expect(readOutcome(failed("BlockedError", text))).toMatchObject({ code: "LOADER_BUG" });
});

test.each([
  [new CliError("USAGE", "no"), "USAGE", 2],
  [new PermanentError("NOTHING_TO_APPROVE", "no"), "NOTHING_TO_APPROVE", 2],
  [new BlockedError("DB_AUTH", "no"), "DB_AUTH", 4],
  [new TransientError("DB_UNAVAILABLE", "no"), "DB_UNAVAILABLE", 4],
  [new Error("SETTINGS_INVALID: DB_PORT"), "SETTINGS_INVALID", 2],
  [new Error("LOCAL_NOT_RUNNING: none"), "LOCAL_NOT_RUNNING", 4],
  [new Error("anything"), "UNEXPECTED", 5],
  ["a text", "UNEXPECTED", 5],
])("%s ends with its code", (error, code, exitCode) => {
  expect(toCliFault(error)).toMatchObject({ code, exitCode });
});

test("an error of a deployed function keeps its kind and code", () => {
  const fault = parseInvocationFault({ errorType: "PermanentError", errorMessage: "BATCH_INVALID_ID: no" }, "operate");
  expect(fault).toBeInstanceOf(PermanentError);
  expect(fault).toMatchObject({ code: "BATCH_INVALID_ID", message: "BATCH_INVALID_ID: no" });
  const timeout = { errorType: "Sandbox.Timedout", errorMessage: "Task timed out after 900.00 seconds" };
  expect(parseInvocationFault(timeout, "operate")).toMatchObject({
    code: "FUNCTION_FAILED",
    message: expect.stringContaining("Sandbox.Timedout"),
  });
});
