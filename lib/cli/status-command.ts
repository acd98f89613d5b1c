import { CliError } from "./cli-error.ts";
import type { Command } from "./command.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { checkBatchId } from "./options.ts";
import { renderBatches, renderStatus } from "./render-status.ts";

/** `status`: everything that is known of one batch. */
export async function showStatus({ connection, io, options }: Command, batchId: string): Promise<ExitCode> {
  const { status } = await connection.operate({ operation: "status", batchId: checkBatchId(batchId) });
  if (status === null) {
    const text = `batch ${batchId} is unknown: it is neither in validation_queue nor was it ever started; see table-loader batches`;
    throw new CliError("BATCH_UNKNOWN", text);
  }
  io.out(options.json ? JSON.stringify(status, null, 2) : renderStatus(status, io.paint));
  return exitCodes.success;
}

/** `batches`: all batches, known or in staging. */
export async function listBatches({ connection, io, options }: Command): Promise<ExitCode> {
  const { batches } = await connection.operate({ operation: "batches" });
  io.out(options.json ? JSON.stringify({ batches }, null, 2) : renderBatches(batches));
  return exitCodes.success;
}
