import type { Target } from "../../../lib/core/target.ts";
import type { Delivery, DeliveryOptions } from "./drive.ts";
import type { DrivenLedger } from "./driven-ledger.ts";

/** What the conformance suite needs of a target, in words that hold for any of them: no SQL, no type names of a server. */

export type ColumnKind =
  | "integer"
  | "bigint"
  | "text"
  | "caseless"
  | "boolean"
  | "date"
  | "instant"
  | "json"
  | { readonly digits: number; readonly scale: number }
  | { readonly length: number }
  | { readonly labels: readonly string[] };

export type ColumnDescription = {
  readonly name: string;
  readonly kind: ColumnKind;
  readonly notNull?: boolean;
  /** The value of a record that does not carry the field, as JSON. */
  readonly default?: string | number | boolean;
};

export type TableDescription = {
  readonly name: string;
  readonly columns: readonly ColumnDescription[];
  /** The natural key; unique where the target can hold it so. */
  readonly key: readonly string[];
  readonly otherKeys?: readonly { readonly name: string; readonly columns: readonly string[] }[];
  /** Columns that must be greater than 0. */
  readonly positive?: readonly { readonly name: string; readonly column: string }[];
  readonly references?: readonly {
    readonly name: string;
    readonly columns: readonly string[];
    readonly parent: string;
    readonly deferred?: boolean;
  }[];
};

export type TableContent = {
  /** A contract as in config/tables.json. */
  readonly contract: object;
  /** Fragments as they would lie in the bucket. */
  readonly fragments: readonly string[];
};
export type Batch = Readonly<Record<string, TableContent>>;

export type RejectReport = {
  readonly table: string;
  readonly record: number;
  readonly field: string | null;
  readonly code: string;
  readonly constraint: string | null;
};

export type LoadReport = {
  readonly status: "committed" | "rejected";
  /** Counts by name (`read`, `loaded`, `updated`, ...), without the zeros. */
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly rejects: readonly RejectReport[];
  /** Whether rows had to be staged a second time. */
  readonly restaged: boolean;
};

export type LoadOptions = {
  /** All staged rows vanish before the commit, as after a crash of the server. */
  readonly loseStaging?: boolean;
};

export const capabilities = [
  "enums",
  "json",
  "caseless text",
  "checks",
  "unique keys",
  "foreign keys",
  "deferred constraints",
  "concurrent loads",
  "own commits",
  "undo",
] as const;
export type Capability = (typeof capabilities)[number];

/** What a target brings along: instances of itself, its tables, and the ledger beside it. */
export type TargetHome = {
  /** What this target cannot do, and why. */
  readonly lacks: Readonly<Partial<Record<Capability, string>>>;
  readonly ledger: DrivenLedger;
  /** Another instance over the same tables, as another process would have it. */
  open(): Target;
  createTable(table: TableDescription): Promise<void>;
  /**
   * Every row with its columns as texts, in any order: numbers as plain decimals with the column's scale, true and
   * false, 2026-01-31, 2026-01-31T12:00:00.123456Z without trailing zeros of the fraction, JSON without spaces.
   */
  rows(table: string, columns: readonly string[]): Promise<(string | null)[][]>;
  close(): Promise<void>;
};

/** The target as the obligations see it, with the driver around it. */
export type TargetUnderTest = TargetHome & {
  load(batch: Batch, options?: LoadOptions): Promise<LoadReport>;
  /** The same as a dry run. */
  preview(batch: Batch): Promise<LoadReport>;
  /** Plans only; drive.ts has the other steps. */
  begin(batch: Batch): Promise<Delivery>;
  /** Plans and stages. */
  stage(batch: Batch, options?: DeliveryOptions): Promise<Delivery>;
};
