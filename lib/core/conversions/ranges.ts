import type { Conversion, Convert } from "../conversion.ts";
import { Refusal } from "../rejects.ts";

const bound = String.raw`(?:"((?:[^"\\]|\\[\s\S]|"")*)"|([^"\\,()[\]]*))`;
/** Bracket, lower bound quoted or bare, upper bound quoted or bare, bracket; nothing for `empty`. */
const rangeForm = new RegExp(`empty|([[(])${bound},${bound}([\\])])`, "y");

export type RangeBound = { readonly conversion: Conversion; readonly sql: string; readonly isMultirange: boolean };

/**
 * Ranges are left to the server, which alone knows the order of the bounds and the next value after a discrete one. It
 * stores [1,10] of integers as [1,11) and merges the overlapping parts of a multirange: the same values.
 */
export function rangeConversion({ conversion, sql, isMultirange }: RangeBound): Conversion {
  const example = isMultirange ? "{[a,b),[c,d)}" : '[a,b), (a,b], [a,) or "empty"';
  const refused = new Refusal("VALUE_TYPE", `${sql}: a JSON string such as ${example}`);
  const toLiteral = literalOf(conversion.convert, sql);
  const readRange = (text: string, at: number): { readonly literal: string | Refusal; readonly end: number } => {
    rangeForm.lastIndex = at;
    const match = rangeForm.exec(text);
    return match === null ? { literal: refused, end: at } : { literal: toLiteral(match), end: rangeForm.lastIndex };
  };

  const convertRange = (text: string): string | Refusal => {
    const { literal, end } = readRange(text, 0);
    return end === text.length || literal instanceof Refusal ? literal : refused;
  };
  const convertMultirange = (text: string): string | Refusal => {
    if (text === "{}") return text;
    const literals: string[] = [];
    let at = 0;
    do {
      if (text[at] !== (at === 0 ? "{" : ",")) return refused;
      const { literal, end } = readRange(text, at + 1);
      if (literal instanceof Refusal) return literal;
      literals.push(literal);
      at = end;
    } while (at < text.length - 1);
    return text[at] === "}" ? `{${literals.join(",")}}` : refused;
  };
  const convert = isMultirange ? convertMultirange : convertRange;
  return { exact: false, convert: (value) => (typeof value === "string" ? convert(value) : refused) };
}

/** Every bound passes its own conversion and is quoted; a bare empty one is no bound. */
function literalOf(convert: Convert, sql: string): (match: RegExpExecArray) => string | Refusal {
  const boundOf = (quoted: string | undefined, bare: string | undefined): string | Refusal => {
    if (quoted === undefined && (bare === undefined || bare === "")) return "";
    const text = convert(quoted?.replace(/\\([\s\S])|""/g, (_, escaped?: string) => escaped ?? '"') ?? bare ?? "");
    if (text instanceof Refusal) return new Refusal(text.code, `${sql}, each bound ${text.expected}`);
    return `"${text.replace(/["\\]/g, "\\$&")}"`;
  };
  return ([all, opening, quotedLower, bareLower, quotedUpper, bareUpper, closing]) => {
    if (opening === undefined || closing === undefined) return all;
    const lower = boundOf(quotedLower, bareLower);
    if (lower instanceof Refusal) return lower;
    const upper = boundOf(quotedUpper, bareUpper);
    return upper instanceof Refusal ? upper : `${opening}${lower},${upper}${closing}`;
  };
}
