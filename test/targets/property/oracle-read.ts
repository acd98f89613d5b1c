import type { Good } from "./values.ts";
import { type ContractSpec, defaultNulls, fragmentKey, isGood, type RecordSpec, type TableSpec } from "./world.ts";

/** The oracle's first look: what one record says, field by field, without any other record or row. */

export type RejectFact = {
  readonly table: string;
  readonly key: string;
  readonly record: number;
  readonly field: string;
  readonly code: string;
  readonly constraint: string | null;
};

/** A record that was read. What its fields say is kept even where it is rejected: other records may share its key. */
export type ReadRecord = {
  readonly key: string;
  readonly number: number;
  readonly values: Readonly<Record<string, Good | null>>;
  readonly rejects: RejectFact[];
  /** False where it does not even reach the other records. */
  readonly staged: boolean;
};

export type Table = { readonly spec: TableSpec; readonly contract: ContractSpec };

export type Place = { readonly fragment: number; readonly number: number };

/** The fault of one field, without its place. */
type Fault = { readonly field: string; readonly code: string; readonly constraint: string | null };
const fault = (field: string, code: string, constraint: string | null = null): Fault => ({ field, code, constraint });

export function readRecord(table: Table, record: RecordSpec, { fragment, number }: Place): ReadRecord {
  const values: Record<string, Good | null> = {};
  const faults: Fault[] = [];
  let staged = true;
  for (const [name, written] of Object.entries(record.fields)) {
    if (systemNames.has(name)) continue;
    const isNull = written === null || isNullText(table.contract, name, written.json);
    values[name] = isNull || !isGood(written) ? null : written;
    if (isNull || isGood(written)) continue;
    faults.push(fault(name, written.code, written.constraint));
    staged &&= written.staged;
  }
  const more = unknownFaults(table, record, values);
  const said = new Set([...faults, ...more].map(({ field }) => field));
  more.push(...missingFaults(table, values, said));
  const place = { table: table.spec.name, key: fragmentKey(table.spec.name, fragment), record: number };
  const shown = more.length > 0 || !staged ? [...faults.filter(isLexical(record)), ...more] : faults;
  const rejects = shown.map((found) => ({ ...place, ...found }));
  return { key: place.key, number, values, rejects, staged: staged && more.length === 0 };
}

const systemNames = new Set(["Id", "created_at", "updated_at"]);

/** What only the server sees is not seen where the record never gets there. */
const isLexical =
  ({ fields }: RecordSpec) =>
  ({ field }: Fault): boolean => {
    const written = fields[field] ?? null;
    return written === null || isGood(written) || !written.staged;
  };

function isNullText(
  { natural_key: key, null_values: nulls, columns }: ContractSpec,
  name: string,
  json: string,
): boolean {
  if (!json.startsWith('"')) return false;
  const text = JSON.parse(json) as string;
  const own = columns[name];
  if (text === "" && own?.allow_empty_key) return false;
  if (text === "" && key.includes(name)) return true;
  return (own?.null_values ?? nulls ?? defaultNulls).includes(text);
}

/** Unknown fields are refused, dropped, or kept in a column of their own, which is filled on the way. */
function unknownFaults({ contract }: Table, { unknown }: RecordSpec, values: Record<string, Good | null>): Fault[] {
  const names = Object.keys(unknown);
  if (names.length === 0 || contract.unknown_fields === "ignore") return [];
  const column = contract.rescue_column;
  if (contract.unknown_fields === "reject" || column === undefined) return [fault(names[0] ?? "", "COLUMN_UNKNOWN")];
  if (column in values) return [fault(column, "COLUMN_AMBIGUOUS")];
  const members = names.toSorted((a, b) => a.length - b.length).map((name) => `"${name}": ${unknown[name]}`);
  const text = `{${members.join(", ")}}`;
  values[column] = { json: text, text, same: text, rank: null };
  return [];
}

function missingFaults(
  { contract }: Table,
  values: Readonly<Record<string, Good | null>>,
  said: ReadonlySet<string>,
): Fault[] {
  const missing = (names: readonly string[]): string[] =>
    names.filter((name) => (values[name] ?? null) === null && !said.has(name));
  const keys = missing(contract.natural_key);
  const required = missing(contract.required_fields).filter((name) => !keys.includes(name));
  return [...keys.map((name) => fault(name, "KEY_NULL")), ...required.map((name) => fault(name, "VALUE_NOT_NULL"))];
}
