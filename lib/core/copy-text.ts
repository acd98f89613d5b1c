/** The text format of PostgreSQL's COPY: tab between fields, one line a row, backslash escapes. */

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

/** A backslash is always doubled, so no value can form the end-of-data mark or null's `\N`. */
export function toCopyField(value: string | null): string {
  if (value === null) return "\\N";
  return special.test(value) ? value.replace(specials, escapeOf) : value;
}

/** A line without its leading loader columns; also the canonical text of a record for its fingerprint. */
export function toCopyFields(values: readonly (string | null)[]): string {
  let line = "";
  for (let index = 0; index < values.length; index += 1) {
    line += index === 0 ? toCopyField(values[index] ?? null) : `\t${toCopyField(values[index] ?? null)}`;
  }
  return line;
}
