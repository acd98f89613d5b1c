import { setTimeout as pause } from "node:timers/promises";
import { TransientError } from "../core/errors.ts";
import type { ExecutionInput } from "../core/execution.ts";
import type { BatchStatus } from "../core/operations.ts";
import { type Outcome, readOutcome } from "../core/outcome.ts";
import type { Connection } from "./connect.ts";
import { CliError, exitCodes } from "./outcomes.ts";
import { type CliIo, formatCount, shown } from "./terminal.ts";

/** Number of executions that are started for a batch that others hold. */
const busyRounds = 5;
/** Number of tries of a poll that fails with a transient error. */
const pollTries = 5;

/**
 * Starts an execution and follows it to its end. If another one holds the batch (one of an arrival may, just before the
 * approval), it waits for that one and starts again; a batch that is loaded by then answers `already_processed`.
 */
export async function runExecution(connection: Connection, input: ExecutionInput, io: CliIo): Promise<Outcome> {
  const progress = openProgress(io, input);
  try {
    for (let round = 1; ; round += 1) {
      const { executionArn } = await connection.operate({ operation: "start", input });
      const outcome = await follow({ connection, io, progress }, input, executionArn);
      if (outcome.kind !== "busy" || round >= busyRounds) return outcome;
      progress.say("another execution has the batch; waiting for it");
      await waitUntilFree({ connection, io, progress }, input.batchId);
    }
  } finally {
    progress.end();
  }
}

type Following = { readonly connection: Connection; readonly io: CliIo; readonly progress: Progress };

async function follow(following: Following, input: ExecutionInput, executionArn: string): Promise<Outcome> {
  const { connection, progress } = following;
  for (;;) {
    const state = await polled(following, () => connection.operate({ operation: "execution", executionArn }));
    if (state.status !== "RUNNING") return readOutcome(state);
    const status = input.dryRun ? null : await readStatus(following, input.batchId);
    progress.show(status);
    const blocked = status && blockedOutcome(status);
    if (blocked) return blocked;
    await sleep(following);
  }
}

/** Outcome of a blocked batch: its execution waits and continues by itself, possibly after days, so following ends. */
function blockedOutcome({ health, reason_code: code, reason }: BatchStatus): Outcome | null {
  if (health !== "BLOCKED") return null;
  return { kind: "blocked", code: code ?? "BLOCKED", message: reason ?? "see the log of the execution" };
}

const inFlight: readonly string[] = ["loading", "committed", "archived", "failing"];

async function waitUntilFree(following: Following, batchId: string): Promise<void> {
  for (;;) {
    await sleep(following);
    const status = await readStatus(following, batchId);
    following.progress.show(status);
    if (!status || !inFlight.includes(status.state) || status.health === "BLOCKED") return;
  }
}

async function readStatus(following: Following, batchId: string): Promise<BatchStatus | null> {
  const request = { operation: "status", batchId } as const;
  return (await polled(following, () => following.connection.operate(request))).status;
}

async function polled<Answer>(following: Following, ask: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof TransientError) || tries >= pollTries) throw error;
      await sleep(following);
    }
  }
}

async function sleep({ connection, io }: Following): Promise<void> {
  try {
    await pause(connection.pollMilliseconds, undefined, { signal: io.stop });
  } catch {
    const text = "stopped following; the execution goes on, see it with: table-loader status";
    throw new CliError("INTERRUPTED", text, exitCodes.unexpected);
  }
}

type Progress = {
  show(status: BatchStatus | null): void;
  say(text: string): void;
  end(): void;
};

const phases: Readonly<Record<string, string>> = {
  loading: "staging",
  committed: "committed, moving fragments to loaded/",
  archived: "committed, writing the report",
  failing: "failed, moving fragments to failed/",
};

/** One line of progress: the phase of the batch, or the number of staged records of each table. */
export function progressLine(status: BatchStatus | null): string {
  if (status === null) return "working";
  const phase = phases[status.state] ?? "validating";
  const staged = shown(status.tables).filter(({ staged_records: records }) => (records ?? 0) > 0);
  if (staged.length === 0 || status.state !== "loading") return phase;
  const total = staged.reduce((sum, { staged_records: records }) => sum + (records ?? 0), 0);
  const each = staged.map(({ table, staged_records: records }) => `${table} ${formatCount(records ?? 0)}`);
  return `staged ${formatCount(total)} records: ${each.join(", ")}`;
}

/** Rewrites one line on a terminal; elsewhere writes a line when the phase changes. */
function openProgress(io: CliIo, { batchId, dryRun }: ExecutionInput): Progress {
  const started = performance.now();
  let lastPhase = "";
  const prefix = `${dryRun ? "previewing" : "loading"} ${batchId}`;
  const noteChange = (line: string, phase: string): void => {
    if (phase !== lastPhase) io.note(`${prefix}: ${line}`);
    lastPhase = phase;
  };
  return {
    show(status) {
      const line = progressLine(status);
      const seconds = Math.round((performance.now() - started) / 1000);
      if (io.progress) io.progress(`${prefix} (${seconds} s): ${line}`);
      else noteChange(line, status?.state ?? "");
    },
    say(text) {
      io.progress?.(null);
      io.note(`${prefix}: ${text}`);
    },
    end: () => io.progress?.(null),
  };
}
