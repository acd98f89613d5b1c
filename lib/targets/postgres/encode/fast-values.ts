import type { Column, ColumnType } from "../../../core/catalog.ts";
import type { ConversionOptions } from "../../../core/contract.ts";
import { booleanToken, escapedToken, numberToken, stringToken } from "../../../core/json-tokens.ts";

/** One scalar as it was written, with the kind of its token. One object serves for all of them: there are millions. */
export type Lexeme = { bytes: Uint8Array; kind: number; from: number; to: number };

/**
 * Recognizes plain values, which a conversion would return as they were written, by their bytes. Most values are plain,
 * and this costs a tenth of a conversion. Any other value is converted instead, so a form may leave out what is
 * rare, but must not let through what the conversion would change or refuse.
 */
export type FastForm = (value: Lexeme) => FastMatch;

/** Not plain; plain as it stands; plain with `utcSuffix` behind it. */
type FastMatch = 0 | 1 | 2;
const no: FastMatch = 0;
const asItIs: FastMatch = 1;
const withUtc: FastMatch = 2;

/** Follows a time without an offset if the contract reads such times as UTC. */
export const utcSuffix: Uint8Array = Buffer.from("+00:00");

const zero = 0x30;
const minus = 0x2d;
const dot = 0x2e;
const colon = 0x3a;

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
  ["bool", () => (value) => (value.kind === booleanToken ? asItIs : no)],
  ["date", () => (value) => (value.kind === stringToken && isPlainDate(value) ? asItIs : no)],
  ["timestamp", timestampForm],
  ["timestamptz", timestamptzForm],
  ["uuid", () => uuidForm],
]);

/** Null if no value of the column is plain. */
export function fastFormOf({ type }: Column, options: ConversionOptions): FastForm | null {
  if (type.element !== null || type.range !== null) return null;
  if (type.enumLabels !== null) return enumForm(type.enumLabels);
  return forms.get(type.name)?.(type, options) ?? null;
}

function textForm({ length }: ColumnType): FastForm {
  if (length === null) return ({ kind }) => (isString(kind) ? asItIs : no);
  // Escapes only make a text look longer than it is, so none that is too long passes.
  return (value) =>
    isString(value.kind) && (value.to - value.from <= length || countCharacters(value) <= length) ? asItIs : no;
}

function isString(kind: number): boolean {
  return kind === stringToken || kind === escapedToken;
}

function countCharacters({ bytes, from, to }: Lexeme): number {
  let count = 0;
  for (let i = from; i < to; i += 1) if (((bytes[i] as number) & 0xc0) !== 0x80) count += 1;
  return count;
}

function enumForm(labels: readonly string[]): FastForm {
  const allowed = labels.map((label) => Buffer.from(label));
  return (value) => (value.kind === stringToken && isOneOf(value, allowed) ? asItIs : no);
}

/** The conversions take strings of digits as numbers, too. */
function mayBeNumber(kind: number): boolean {
  return kind === numberToken || kind === stringToken;
}

/** A sign counts as a digit: a negative number of `maxDigits` is rare and is converted instead. */
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

/** A decimal of so many digits survives a double, but may be shown otherwise if a zero begins or ends its fraction. */
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
  return (value) => (value.kind === stringToken && passDateTime(value, digits) === value.to ? asItIs : no);
}

function timestamptzForm({ fractionDigits: typmod }: ColumnType, { timezone }: ConversionOptions): FastForm {
  const digits = typmod ?? microsecondDigits;
  const naive = timezone === "UTC" ? withUtc : no;
  return (value) => {
    if (value.kind !== stringToken) return no;
    const end = passDateTime(value, digits);
    if (end === value.to) return naive;
    return end > 0 && endsWithOffset(value, end) ? asItIs : no;
  };
}

const uuidForm: FastForm = ({ kind, bytes, from, to }) => {
  if (kind !== stringToken || to - from !== 36) return no;
  for (let i = 0; i < 36; i += 1) {
    const byte = bytes[from + i] as number;
    if (i === 8 || i === 13 || i === 18 || i === 23) {
      if (byte !== minus) return no;
    } else if (!((byte >= zero && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66))) return no;
  }
  return asItIs;
};

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= 0x39;
}

export function isOneOf({ bytes, from, to }: Lexeme, texts: readonly Uint8Array[]): boolean {
  for (const text of texts) if (text.length === to - from && isAt(bytes, from, text)) return true;
  return false;
}

/** Whether the expected bytes stand at an index. */
export function isAt(bytes: Uint8Array, from: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i += 1) if (bytes[from + i] !== expected[i]) return false;
  return true;
}

/** The index behind a JSON number without exponent; -1 if none begins at `from`. */
function passNumber(bytes: Uint8Array, from: number): number {
  const start = bytes[from] === minus ? from + 1 : from;
  let i = start;
  while (isDigit(bytes[i])) i += 1;
  if (i === start || (i > start + 1 && bytes[start] === zero)) return -1;
  if (bytes[i] !== dot) return i;
  const point = i;
  i += 1;
  while (isDigit(bytes[i])) i += 1;
  return i > point + 1 ? i : -1;
}

/** An integer without leading zeros; not `-0`, which is stored as 0. */
function isPlainInteger({ bytes, from, to }: Lexeme): boolean {
  if (bytes[from] === zero) return to - from === 1;
  const start = bytes[from] === minus ? from + 1 : from;
  if (start === to || bytes[start] === zero) return false;
  for (let i = start; i < to; i += 1) if (!isDigit(bytes[i])) return false;
  return true;
}

/** Number of digits before the point; -1 if the value is not a plain number. */
function integerDigits({ bytes, from, to }: Lexeme): number {
  if (passNumber(bytes, from) !== to) return -1;
  const start = bytes[from] === minus ? from + 1 : from;
  let i = start;
  while (i < to && bytes[i] !== dot) i += 1;
  return i - start;
}

/** Number of digits behind the point of a plain number that has `integer` digits before it. */
function fractionDigits({ bytes, from, to }: Lexeme, integer: number): number {
  const digits = to - from - integer - (bytes[from] === minus ? 1 : 0);
  return digits === 0 ? 0 : digits - 1;
}

/** The number that two digits form; -1 if they are not digits. */
function two(bytes: Uint8Array, from: number): number {
  const tens = (bytes[from] as number) - zero;
  const ones = (bytes[from + 1] as number) - zero;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}

/** Without 29 February, which depends on the year. */
const monthLengths = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const dateLength = 10;

/** Whether `YYYY-MM-DD`, from the year 1 on, begins at `from`. */
function isDateAt(bytes: Uint8Array, from: number): boolean {
  const century = two(bytes, from);
  const year = two(bytes, from + 2);
  const month = two(bytes, from + 5);
  const day = two(bytes, from + 8);
  if (century < 0 || year < 0 || century + year === 0) return false;
  if (bytes[from + 4] !== minus || bytes[from + 7] !== minus) return false;
  return month >= 1 && month <= 12 && day >= 1 && day <= (monthLengths[month] as number);
}

function isPlainDate({ bytes, from, to }: Lexeme): boolean {
  return to - from === dateLength && isDateAt(bytes, from);
}

const letterT = 0x54;
const space = 0x20;

/** The index behind a date and time of day; -1 if the value does not begin with them. */
function passDateTime({ bytes, from, to }: Lexeme, maxFraction: number): number {
  const separator = bytes[from + dateLength];
  if ((separator !== letterT && separator !== space) || !isDateAt(bytes, from)) return -1;
  const end = passClock(bytes, from + dateLength + 1, maxFraction);
  return end <= to ? end : -1;
}

/** The index behind a time of day up to 23:59:59, with or without seconds and a fraction; -1 if there is none. */
function passClock(bytes: Uint8Array, from: number, maxFraction: number): number {
  if (!isBelow(two(bytes, from), 24) || bytes[from + 2] !== colon || !isBelow(two(bytes, from + 3), 60)) return -1;
  let i = from + 5;
  if (bytes[i] !== colon) return i;
  if (!isBelow(two(bytes, i + 1), 60)) return -1;
  i += 3;
  if (bytes[i] !== dot) return i;
  const fraction = i + 1;
  for (i = fraction; isDigit(bytes[i]); ) i += 1;
  const digits = i - fraction;
  return digits >= 1 && digits <= maxFraction ? i : -1;
}

function isBelow(value: number, limit: number): boolean {
  return value >= 0 && value < limit;
}

const letterZ = 0x5a;
const plus = 0x2b;

/** Whether the rest of a value is `Z`, or an offset below 16:00. */
function endsWithOffset({ bytes, to }: Lexeme, from: number): boolean {
  if (bytes[from] === letterZ) return from + 1 === to;
  if ((bytes[from] !== plus && bytes[from] !== minus) || !isBelow(two(bytes, from + 1), 16)) return false;
  if (from + 3 === to) return true;
  const minutes = bytes[from + 3] === colon ? from + 4 : from + 3;
  return isBelow(two(bytes, minutes), 60) && minutes + 2 === to;
}
