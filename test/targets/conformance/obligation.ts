import type {
  Batch,
  Capability,
  ColumnDescription,
  ColumnKind,
  LoadReport,
  TableContent,
  TableDescription,
  TargetUnderTest,
} from "./target-under-test.ts";

export type Obligation = {
  readonly name: string;
  readonly needs?: readonly Capability[];
  /** Throws where the target does not fulfil it. Tables have names of their own in every obligation. */
  readonly fulfil: (target: TargetUnderTest) => Promise<void>;
};

export const column = (name: string, kind: ColumnKind, more: Partial<ColumnDescription> = {}): ColumnDescription => ({
  name,
  kind,
  ...more,
});

/** A table with the integer key `k` and these columns. */
export function keyedBy(
  name: string,
  columns: readonly ColumnDescription[],
  more: Partial<TableDescription> = {},
): TableDescription {
  return { name, columns: [column("k", "integer"), ...columns], key: ["k"], ...more };
}

/** Records as one fragment each list; a text stands for itself. */
export function content(contract: object, ...fragments: readonly (string | readonly object[])[]): TableContent {
  const texts = fragments.map((fragment) => (typeof fragment === "string" ? fragment : JSON.stringify(fragment)));
  return { contract: { natural_key: ["k"], ...contract }, fragments: texts };
}

export const one = (table: string, contract: object, ...fragments: readonly (string | readonly object[])[]): Batch => ({
  [table]: content(contract, ...fragments),
});

/** The rows in the order of their texts. */
export async function sorted(target: TargetUnderTest, table: string, columns: readonly string[]) {
  const rows = await target.rows(table, columns);
  return rows.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** `[record, field, code]` of every reject, in the order of the records. */
export function named({ rejects }: LoadReport): (string | number | null)[][] {
  return rejects
    .map(({ record, field, code }): [number, string | null, string] => [record, field, code])
    .toSorted((a, b) => a[0] - b[0] || ((a[1] ?? "") < (b[1] ?? "") ? -1 : 1));
}
