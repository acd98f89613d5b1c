/** The text format of PostgreSQL's COPY: one line per row, tabs between fields, backslash escapes. */

const special = /[\\\b\f\n\r\t\v]/;
const specials = /[\\\b\f\n\r\t\v]/g;
const escapes: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

const escapeOf = (character: string): string => escapes[character] ?? character;

/** Doubles every backslash, so no value can look like the end of the data (`\.`) or like null (`\N`). */
export function toCopyField(value: string | null): string {
  if (value === null) return "\\N";
  return special.test(value) ? value.replace(specials, escapeOf) : value;
}

/** A line without the loader's own columns at its start; also the canonical text of a record for its fingerprint. */
export function toCopyFields(values: readonly (string | null)[]): string {
  let line = "";
  for (let index = 0; index < values.length; index += 1) {
    line += index === 0 ? toCopyField(values[index] ?? null) : `\t${toCopyField(values[index] ?? null)}`;
  }
  return line;
}

/** Lines of COPY text to be sent to the server. Bytes up to `end` are valid. */
export type LineBuffer = { bytes: Buffer; end: number };

const tab = 0x09;
const initialBytes = 256 * 1024;

export function openLineBuffer(): LineBuffer {
  return { bytes: Buffer.allocUnsafeSlow(initialBytes), end: 0 };
}

/** Empties a buffer for its next use; one that a huge record enlarged is replaced by a small one. */
export function resetLineBuffer(line: LineBuffer): void {
  if (line.bytes.length > 16 * initialBytes) line.bytes = Buffer.allocUnsafeSlow(initialBytes);
  line.end = 0;
}

/** Makes room for so many further bytes, and keeps those that are there. */
export function reserve(line: LineBuffer, bytes: number): void {
  if (line.end + bytes <= line.bytes.length) return;
  const grown = Buffer.allocUnsafeSlow(Math.max(line.bytes.length * 2, line.end + bytes));
  line.bytes.copy(grown, 0, 0, line.end);
  line.bytes = grown;
}

/** UTF-8 takes at most three bytes for each UTF-16 unit. */
const maxBytesOfUnit = 3;

export function appendText(line: LineBuffer, text: string): void {
  reserve(line, text.length * maxBytesOfUnit);
  line.end += line.bytes.write(text, line.end);
}

const digits = new Uint8Array(16);

/** Appends a number from 0 to 2^53 and a tab, cheaper than through a string. Room for them must be reserved. */
export function appendNumber(line: LineBuffer, number: number): void {
  let rest = number;
  let count = 0;
  do {
    const next = Math.floor(rest / 10);
    digits[count++] = 0x30 + rest - next * 10;
    rest = next;
  } while (rest > 0);
  while (count > 0) line.bytes[line.end++] = digits[--count] as number;
  line.bytes[line.end++] = tab;
}
