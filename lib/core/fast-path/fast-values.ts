import type { Column, ColumnType } from "../catalog.ts";
import type { ConversionOptions } from "../contract.ts";
import {
  endsWithOffset,
  escapedKind,
  fractionDigits,
  integerDigits,
  isAt,
  isPlainDate,
  isPlainInteger,
  type Kind,
  type Lexeme,
  literalKind,
  numberKind,
  passDateTime,
  stringKind,
  zero,
} from "./lexemes.ts";

/**
 * Plain forms: values that a conversion hands on as they were written, told by their bytes. They are most of all data,
 * and telling them costs a tenth of a conversion. What is not plain goes the exact way, so nothing is refused here; a
 * form may leave out what is rare, but must not let through what the conversion would change or refuse.
 */
export type FastForm = (value: Lexeme) => FastMatch;

/** Not plain; plain as it stands; plain with `utcSuffix` behind it. */
export type FastMatch = 0 | 1 | 2;
const no: FastMatch = 0;
const asItIs: FastMatch = 1;
const withUtc: FastMatch = 2;

/** Behind a time without an offset, where such times are UTC. */
export const utcSuffix: Uint8Array = Buffer.from("+00:00");

type MakeForm = (type: ColumnType, options: ConversionOptions) => FastForm;

const forms: ReadonlyMap<string, MakeForm> = new Map<string, MakeForm>([
  ["text", textForm],
  ["varchar", textForm],
  ["bpchar", textForm],
  ["citext", textForm],
  ["int2", () => integerForm(4)],
  ["int4", () => integerForm(9)],
  ["int8", () => integerForm(18)],
  ["numeric", decimalForm],
  ["float8", () => floatForm],
  [
    "bool",
    () =>
      ({ kind }) =>
        kind === literalKind ? asItIs : no,
  ],
  ["date", () => (value) => (value.kind === stringKind && isPlainDate(value) ? asItIs : no)],
  ["timestamp", timestampForm],
  ["timestamptz", timestamptzForm],
  ["uuid", () => uuidForm],
]);

/** Null where no value of the column is plain. */
export function fastFormOf({ type }: Column, options: ConversionOptions): FastForm | null {
  if (type.element !== null || type.range !== null) return null;
  if (type.enumLabels !== null) return enumForm(type.enumLabels);
  return forms.get(type.name)?.(type, options) ?? null;
}

function textForm({ length }: ColumnType): FastForm {
  if (length === null) return ({ kind }) => (isString(kind) ? asItIs : no);
  // An escape only makes a text look longer than it is.
  return (value) =>
    isString(value.kind) && (value.to - value.from <= length || countCharacters(value) <= length) ? asItIs : no;
}

function isString(kind: Kind): boolean {
  return kind === stringKind || kind === escapedKind;
}

function countCharacters({ bytes, from, to }: Lexeme): number {
  let count = 0;
  for (let i = from; i < to; i += 1) if (((bytes[i] as number) & 0xc0) !== 0x80) count += 1;
  return count;
}

function enumForm(labels: readonly string[]): FastForm {
  const allowed = labels.map((label) => Buffer.from(label));
  return ({ kind, bytes, from, to }) => {
    if (kind !== stringKind) return no;
    for (const label of allowed) if (label.length === to - from && isAt(bytes, from, label)) return asItIs;
    return no;
  };
}

/** Strings of digits are numbers, too. */
function mayBeNumber(kind: Kind): boolean {
  return kind === numberKind || kind === stringKind;
}

/** A sign counts as a digit: what is rare may go the exact way. */
function integerForm(maxDigits: number): FastForm {
  return (value) =>
    mayBeNumber(value.kind) && value.to - value.from <= maxDigits && isPlainInteger(value) ? asItIs : no;
}

const maxUnboundedDigits = 1_000;

function decimalForm({ precision, scale }: ColumnType): FastForm {
  const maxFraction = precision === null ? maxUnboundedDigits : (scale ?? 0);
  const maxInteger = precision === null ? maxUnboundedDigits : precision - maxFraction;
  // Scales below 0 and above the precision are rare.
  if (maxFraction < 0 || maxInteger < 1) return () => no;
  return (value) => {
    if (!mayBeNumber(value.kind)) return no;
    const integer = integerDigits(value);
    return integer > 0 && integer <= maxInteger && fractionDigits(value, integer) <= maxFraction ? asItIs : no;
  };
}

/** So many digits survive a double. They are shown as they were written unless zeros end them or follow the point. */
const doubleDigits = 15;

const floatForm: FastForm = (value) => {
  if (!mayBeNumber(value.kind)) return no;
  const integer = integerDigits(value);
  if (integer < 1) return no;
  const fraction = fractionDigits(value, integer);
  if (integer + fraction > doubleDigits) return no;
  if (fraction === 0) return isPlainInteger(value) ? asItIs : no;
  const { bytes, to } = value;
  return bytes[to - 1] !== zero && bytes[to - fraction] !== zero ? asItIs : no;
};

const microsecondDigits = 6;

function timestampForm({ fractionDigits: typmod }: ColumnType): FastForm {
  const digits = typmod ?? microsecondDigits;
  return (value) => (value.kind === stringKind && passDateTime(value, digits) === value.to ? asItIs : no);
}

function timestamptzForm({ fractionDigits: typmod }: ColumnType, { timezone }: ConversionOptions): FastForm {
  const digits = typmod ?? microsecondDigits;
  const naive = timezone === "UTC" ? withUtc : no;
  return (value) => {
    if (value.kind !== stringKind) return no;
    const end = passDateTime(value, digits);
    if (end === value.to) return naive;
    return end > 0 && endsWithOffset(value, end) ? asItIs : no;
  };
}

const hyphen = 0x2d;

const uuidForm: FastForm = ({ kind, bytes, from, to }) => {
  if (kind !== stringKind || to - from !== 36) return no;
  for (let i = 0; i < 36; i += 1) {
    const byte = bytes[from + i] as number;
    if (i === 8 || i === 13 || i === 18 || i === 23) {
      if (byte !== hyphen) return no;
    } else if (!((byte >= zero && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66))) return no;
  }
  return asItIs;
};
