import { escapeText } from "../core/escape-text.ts";
import type { Command } from "./command.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { loadUnasked } from "./load-command.ts";
import { checkBatchId } from "./options.ts";

/** `approve`: records the approval, then loads, unless `--no-load`. */
export async function approveBatch(command: Command, batchId: string): Promise<ExitCode> {
  const { connection, io, options } = command;
  const approval = await connection.operate({
    operation: "approve",
    batchId: checkBatchId(batchId),
    approvedBy: options.by ?? io.user,
    ...(options.tableName ? { tables: [...new Set(options.tableName)] } : {}),
  });
  const { approved, created } = approval;
  const added = created.length > 0 ? `; new in validation_queue: ${created.join(", ")}` : "";
  const text = escapeText(`${batchId}: approved ${approved.join(", ")} by ${options.by ?? io.user}${added}`);
  if (options.load !== false) {
    io.note(text);
    return loadUnasked(command, batchId, "load");
  }
  io.out(options.json ? JSON.stringify(approval, null, 2) : text);
  return exitCodes.success;
}
