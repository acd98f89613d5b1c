import type { ExecutionInput } from "../core/execution.ts";
import type { BatchStatus } from "../core/operations.ts";
import type { CliIo } from "./cli-io.ts";
import { shown } from "./shown.ts";
import { formatCount } from "./text-table.ts";

export type Progress = {
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

/** One line of progress: where the batch is, and how many records of each table are staged. */
export function progressLine(status: BatchStatus | null): string {
  if (status === null) return "working";
  const phase = phases[status.state] ?? "validating";
  const staged = shown(status.tables).filter(({ staged_records: records }) => (records ?? 0) > 0);
  if (staged.length === 0 || status.state !== "loading") return phase;
  const total = staged.reduce((sum, { staged_records: records }) => sum + (records ?? 0), 0);
  const each = staged.map(({ table, staged_records: records }) => `${table} ${formatCount(records ?? 0)}`);
  return `staged ${formatCount(total)} records: ${each.join(", ")}`;
}

/** On a terminal a line that is rewritten; elsewhere a line whenever the phase changes. */
export function openProgress(io: CliIo, { batchId, dryRun }: ExecutionInput): Progress {
  const started = performance.now();
  let lastPhase = "";
  const prefix = `${dryRun ? "previewing" : "loading"} ${batchId}`;
  const plainLine = (line: string, phase: string): void => {
    if (phase !== lastPhase) io.note(`${prefix}: ${line}`);
    lastPhase = phase;
  };
  return {
    show(status) {
      const line = progressLine(status);
      const seconds = Math.round((performance.now() - started) / 1000);
      if (io.progress) io.progress(`${prefix} (${seconds} s): ${line}`);
      else plainLine(line, status?.state ?? "");
    },
    say(text) {
      io.progress?.(null);
      io.note(`${prefix}: ${text}`);
    },
    end: () => io.progress?.(null),
  };
}
