import type { RecordCounts } from "../../core/report.ts";

type Column = { readonly title: string; readonly align?: "left" | "right" };

/** How the demo shows things; the CLI brings its own tables along. */
export type DemoIo = {
  readonly say: (text: string) => void;
  readonly counts: (
    tables: Readonly<Record<string, RecordCounts & { readonly load_time_seconds?: number }>>,
    total: RecordCounts & { readonly total_time_seconds?: number },
  ) => string;
  readonly table: (columns: readonly Column[], rows: readonly (readonly string[])[]) => string;
  /** Ends it early. */
  readonly stop: AbortSignal;
};
