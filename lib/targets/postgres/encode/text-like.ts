import type { ColumnType } from "../../../core/catalog.ts";
import type { ConversionOptions } from "../../../core/contract.ts";
import { ExactNumber, type JsonValue } from "../../../core/json.ts";
import { ValueReject } from "../../../core/rejects.ts";
import type { Conversion } from "./conversion.ts";
import { parseDecimal, toPlainText } from "./numbers.ts";

export const notStorable = new ValueReject("VALUE_ENCODING", "text without NUL characters and lone surrogates");

/** False if a text has a NUL, which PostgreSQL cannot store, or a lone surrogate, which UTF-8 cannot encode. */
export function isStorable(text: string): boolean {
  return !text.includes("\u0000") && text.isWellFormed();
}

/** The text of a scalar, with the digits of numbers as they were written; null for arrays and objects. */
export function scalarText(value: JsonValue): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number") return plainNumberText(value);
  if (typeof value === "boolean") return value ? "true" : "false";
  return value instanceof ExactNumber ? value.text : null;
}

/** Undoes an exponent that JavaScript adds: a number that was written with one arrives as an ExactNumber. */
function plainNumberText(value: number): string {
  if (Object.is(value, -0)) return "-0";
  const text = String(value);
  if (!text.includes("e")) return text;
  const decimal = parseDecimal(text);
  return decimal === null ? text : toPlainText(decimal);
}

/** `type.length` counts characters, as varchar(n) and char(n) do. */
export function textConversion(type: ColumnType): Conversion {
  const { length } = type;
  const name = type.name === "bpchar" ? "character" : "character varying";
  const expected = length === null ? "text" : `${name}(${length})`;
  const notText = new ValueReject("VALUE_TYPE", `${expected}: a string, number or boolean`);
  const tooLong = new ValueReject("VALUE_TOO_LONG", `${expected}: at most ${length} characters`);
  return {
    // citext belongs to an extension whose schema may not be on staging's search path.
    exact: type.name !== "citext",
    convert: (value) => {
      const text = scalarText(value);
      if (text === null) return notText;
      if (!isStorable(text)) return notStorable;
      return length !== null && text.length > length && isLonger(text, length) ? tooLong : text;
    },
  };
}

/** A character is one or two UTF-16 units. */
function isLonger(text: string, length: number): boolean {
  if (text.length > 2 * length) return true;
  let count = 0;
  for (const _ of text) count += 1;
  return count > length;
}

const binary = /^[01]*$/;

/** Takes 0 and 1 only, not the server's X'1F'. bit(n) needs all n of them, since a cast would silently pad or cut. */
export function bitConversion({ name, length }: ColumnType): Conversion {
  const isFixed = name === "bit";
  const size = length === null ? "" : `, ${isFixed ? "exactly" : "at most"} ${length} of them`;
  const expected = `bit string: a JSON string of 0 and 1${size}`;
  const notBits = new ValueReject("VALUE_TYPE", expected);
  const tooLong = new ValueReject("VALUE_TOO_LONG", expected);
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string" || !binary.test(value)) return notBits;
      if (length === null || value.length === length) return value;
      if (value.length > length) return tooLong;
      return isFixed ? notBits : value;
    },
  };
}

export function booleanConversion({ trueValues, falseValues }: ConversionOptions): Conversion {
  const words = new Map<string, "true" | "false">();
  for (const word of falseValues) words.set(word.toLowerCase(), "false");
  for (const word of trueValues) words.set(word.toLowerCase(), "true");
  const notBoolean = new ValueReject(
    "VALUE_TYPE",
    `boolean: true, false, or one of ${[...trueValues, ...falseValues].map((word) => JSON.stringify(word)).join(", ")}`,
  );
  const longest = Math.max(...[...words.keys()].map((word) => word.length), 0);
  return {
    exact: true,
    convert: (value) => {
      if (typeof value === "boolean") return value ? "true" : "false";
      // A contract may list numbers as words, such as 1 for true and 2 for false.
      const word = typeof value === "number" ? String(value) : value;
      if (typeof word !== "string" || word.length > longest) return notBoolean;
      return words.get(word) ?? words.get(word.toLowerCase()) ?? notBoolean;
    },
  };
}

const notHexDigit = /[^\da-fA-F]/;
const notHex = new ValueReject(
  "VALUE_TYPE",
  "bytea: an even number of hexadecimal digits, with or without a leading \\x",
);
const notBase64 = new ValueReject("VALUE_TYPE", "bytea: base64 with its padding, without line breaks");

export function byteaConversion({ byteaEncoding }: ConversionOptions): Conversion {
  const toHex = byteaEncoding === "hex" ? readHex : readBase64;
  const notBytes = byteaEncoding === "hex" ? notHex : notBase64;
  return {
    exact: true,
    convert: (value) => {
      const hex = typeof value === "string" ? toHex(value) : null;
      return hex === null ? notBytes : `\\x${hex}`;
    },
  };
}

function readHex(text: string): string | null {
  const digits = text.startsWith("\\x") ? text.slice(2) : text;
  return digits.length % 2 !== 0 || notHexDigit.test(digits) ? null : digits;
}

/** Buffer skips invalid characters, so the text is taken only if encoding the bytes gives it back. */
function readBase64(text: string): string | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes.toString("hex") : null;
}

const maxShownLabels = 20;

export function enumConversion(labels: readonly string[]): Conversion {
  const allowed = new Set(labels);
  const shown = labels.slice(0, maxShownLabels).map((label) => JSON.stringify(label));
  const more = labels.length > maxShownLabels ? ` and ${labels.length - maxShownLabels} more` : "";
  const expected = `exactly one of ${shown.join(", ")}${more}`;
  const notLabel = new ValueReject("VALUE_ENUM", expected);
  const notText = new ValueReject("VALUE_TYPE", expected);
  return {
    exact: true,
    convert: (value) => {
      const text = scalarText(value);
      if (text === null) return notText;
      return allowed.has(text) ? text : notLabel;
    },
  };
}

const canonical = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;
const spelled =
  /^(?:([\da-f]{8})-([\da-f]{4})-([\da-f]{4})-([\da-f]{4})-([\da-f]{12})|([\da-f]{8})([\da-f]{4})([\da-f]{4})([\da-f]{4})([\da-f]{12}))$/i;
const notUuid = new ValueReject("VALUE_TYPE", "uuid: 32 hexadecimal digits, with or without hyphens, in braces or not");

/** Writes every UUID in one spelling (lower case, hyphens), so that it is always the same natural key. */
export const uuidConversion: Conversion = {
  exact: true,
  convert: (value) => {
    if (typeof value !== "string") return notUuid;
    if (canonical.test(value)) return value;
    const bare = value.startsWith("{") && value.endsWith("}") ? value.slice(1, -1) : value;
    const match = spelled.exec(bare);
    if (match === null) return notUuid;
    return match
      .slice(1)
      .filter((part) => part !== undefined)
      .join("-")
      .toLowerCase();
  },
};
