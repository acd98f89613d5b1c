import type { Sinks } from "../core/target.ts";

/** The relations of the ledger that a target writes in its commit, and the one that it reads. */
export const sinks: Sinks = {
  items: { name: "table_loader.work_items", columns: { item: "item_id", key: "key" } },
  rejects: {
    name: "table_loader.rejects",
    columns: {
      batch: "batch_id",
      epoch: "epoch",
      plan: "plan_id",
      item: "item_id",
      table: "table_name",
      key: "key",
      record: "record",
      field: "field",
      code: "code",
      expected: "expected",
      got: "got",
      constraint: "constraint_name",
      staged: "staged",
    },
  },
  images: {
    name: "table_loader.undo_images",
    columns: {
      batch: "batch_id",
      epoch: "epoch",
      table: "table_name",
      operation: "operation",
      rows: "rows",
      keys: "row_keys",
      oldRows: "old_rows",
    },
  },
  audit: {
    name: "public.audit_log",
    columns: {
      table: "table_name",
      operation: "operation",
      record: "record_id",
      oldValues: "old_values",
      newValues: "new_values",
      batch: "batch_id",
    },
  },
};
