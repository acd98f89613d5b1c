/** What to do about an outcome, as a command where there is one. */
export function adviceFor(code: string, batchId: string): string | null {
  if (["NOT_APPROVED", "NOT_QUEUED"].includes(code)) return `table-loader approve ${batchId}`;
  if (code === "APPROVAL_OUTDATED") {
    return `table-loader approve ${batchId}; where the batch failed before, add --no-load, then: table-loader retry ${batchId}`;
  }
  if (code === "BATCH_FAILED") return `table-loader retry ${batchId}`;
  if (code === "RECORDS_REJECTED") {
    return `mend the records, drop the fragments again, then: table-loader approve ${batchId} --no-load && table-loader retry ${batchId}`;
  }
  if (code === "BATCH_BUSY" || code === "STALE_FENCE") return `table-loader status ${batchId}`;
  return null;
}
