import { ExactNumber, type JsonValue, toJsonText } from "../../../core/json.ts";
import { ValueReject } from "../../../core/rejects.ts";
import type { Conversion, Convert } from "./conversion.ts";
import { fitsNumeric, parseDecimal } from "./numbers.ts";
import { isStorable, notStorable } from "./text-like.ts";

const maxDimensions = 6;
/** Texts that an array literal may hold unquoted; the word NULL is not one, since it would be read as null. */
const bare = /^(?!null$)[\w.:+-]+$/i;

/** `sql` is the element's type. `nested` is false if an inner array is an element's value (json), not a dimension. */
export function arrayConversion(conversion: Conversion, sql: string, nested: boolean): Conversion {
  const expected = `array of ${sql}`;
  const notArray = new ValueReject("VALUE_TYPE", `${expected}: a JSON array`);
  const ragged = new ValueReject("VALUE_TYPE", `${expected}: inner arrays of one length, none of them empty`);
  const tooDeep = new ValueReject("VALUE_RANGE", `${expected}: at most ${maxDimensions} dimensions`);
  const isInner = (value: JsonValue) => nested && Array.isArray(value);
  const element = elementText(conversion.convert, expected);

  const literal = (items: readonly JsonValue[], lengths: readonly number[]): string | ValueReject => {
    const texts: string[] = [];
    for (const item of items) {
      if (isInner(item) !== lengths.length > 1) return ragged;
      const text = lengths.length > 1 ? inner(item as readonly JsonValue[], lengths.slice(1)) : element(item);
      if (typeof text !== "string") return text;
      texts.push(text);
    }
    return `{${texts.join(",")}}`;
  };
  const inner = (items: readonly JsonValue[], lengths: readonly number[]) =>
    items.length === lengths[0] ? literal(items, lengths) : ragged;

  const convert = (value: JsonValue) => {
    if (!Array.isArray(value)) return notArray;
    const lengths = [value.length];
    for (let first = value[0]; first !== undefined && isInner(first); ) {
      const items = first as readonly JsonValue[];
      if (items.length === 0) return ragged;
      if (lengths.push(items.length) > maxDimensions) return tooDeep;
      first = items[0];
    }
    return literal(value, lengths);
  };
  return { convert, exact: conversion.exact };
}

function elementText(convert: Convert, expected: string): Convert {
  return (item) => {
    if (item === null) return "NULL";
    const text = convert(item);
    if (typeof text !== "string") return new ValueReject(text.code, `${expected}, each ${text.expected}`);
    return bare.test(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
  };
}

/** Far below the depth at which the server's parser (54001) and our own recursion fail. */
const maxDepth = 500;
const tooDeep = new ValueReject("VALUE_RANGE", `json nested at most ${maxDepth} deep`);
const numberTooLong = new ValueReject(
  "VALUE_RANGE",
  "jsonb: numbers of at most 131072 digits before and 16383 after the point",
);

/** A string becomes a JSON string: JSON inside a string is not parsed again. */
export function jsonConversion(type: "json" | "jsonb"): Conversion {
  const numbersFit = type === "json" ? () => true : fitsJsonb;
  return {
    exact: true,
    convert: (value) => {
      const look: Look = { numbersFit, hasExactNumber: false };
      const refusal = refusalOf(value, look, maxDepth);
      if (refusal !== null) return refusal;
      // JSON.stringify is several times as fast, but loses the digits of exact numbers.
      return look.hasExactNumber ? toJsonText(value) : JSON.stringify(value);
    },
  };
}

type Look = {
  readonly numbersFit: (number: ExactNumber) => boolean;
  /** Set if JSON.stringify would write a number in another way. */
  hasExactNumber: boolean;
};

function fitsJsonb(number: ExactNumber): boolean {
  const decimal = parseDecimal(number.text);
  return decimal !== null && fitsNumeric(decimal);
}

function refusalOf(value: JsonValue, look: Look, depth: number): ValueReject | null {
  if (typeof value === "string") return isStorable(value) ? null : notStorable;
  if (typeof value === "number") look.hasExactNumber ||= Object.is(value, -0);
  if (typeof value !== "object" || value === null) return null;
  if (value instanceof ExactNumber) {
    look.hasExactNumber = true;
    return look.numbersFit(value) ? null : numberTooLong;
  }
  if (depth === 0) return tooDeep;
  if (Array.isArray(value)) {
    for (const member of value) {
      const refusal = refusalOf(member, look, depth - 1);
      if (refusal !== null) return refusal;
    }
    return null;
  }
  for (const key of Object.keys(value)) {
    const refusal = isStorable(key) ? refusalOf(value[key] as JsonValue, look, depth - 1) : notStorable;
    if (refusal !== null) return refusal;
  }
  return null;
}

const bound = String.raw`(?:"((?:[^"\\]|\\[\s\S]|"")*)"|([^"\\,()[\]]*))`;
/** Groups: bracket, lower bound quoted or bare, upper bound quoted or bare, bracket; none of them for `empty`. */
const rangeForm = new RegExp(`empty|([[(])${bound},${bound}([\\])])`, "y");

/**
 * `sql` is the type of the range. The server judges ranges, since only it knows the order of bounds and the successor
 * of a discrete value. It stores [1,10] of integers as [1,11) and merges overlaps in a multirange: the same values.
 */
export function rangeConversion(conversion: Conversion, sql: string, isMultirange: boolean): Conversion {
  const example = isMultirange ? "{[a,b),[c,d)}" : '[a,b), (a,b], [a,) or "empty"';
  const refused = new ValueReject("VALUE_TYPE", `${sql}: a JSON string such as ${example}`);
  const toLiteral = literalOf(conversion.convert, sql);
  const readRange = (text: string, at: number): { readonly literal: string | ValueReject; readonly end: number } => {
    rangeForm.lastIndex = at;
    const match = rangeForm.exec(text);
    return match === null ? { literal: refused, end: at } : { literal: toLiteral(match), end: rangeForm.lastIndex };
  };

  const convertRange = (text: string): string | ValueReject => {
    const { literal, end } = readRange(text, 0);
    return end === text.length || literal instanceof ValueReject ? literal : refused;
  };
  const convertMultirange = (text: string): string | ValueReject => {
    if (text === "{}") return text;
    const literals: string[] = [];
    let at = 0;
    do {
      if (text[at] !== (at === 0 ? "{" : ",")) return refused;
      const { literal, end } = readRange(text, at + 1);
      if (literal instanceof ValueReject) return literal;
      literals.push(literal);
      at = end;
    } while (at < text.length - 1);
    return text[at] === "}" ? `{${literals.join(",")}}` : refused;
  };
  const convert = isMultirange ? convertMultirange : convertRange;
  return { exact: false, convert: (value) => (typeof value === "string" ? convert(value) : refused) };
}

/** Converts and quotes each bound; a bare empty text means that the range is unbounded. */
function literalOf(convert: Convert, sql: string): (match: RegExpExecArray) => string | ValueReject {
  const boundOf = (quoted: string | undefined, bare: string | undefined): string | ValueReject => {
    if (quoted === undefined && (bare === undefined || bare === "")) return "";
    const text = convert(quoted?.replace(/\\([\s\S])|""/g, (_, escaped?: string) => escaped ?? '"') ?? bare ?? "");
    if (text instanceof ValueReject) return new ValueReject(text.code, `${sql}, each bound ${text.expected}`);
    return `"${text.replace(/["\\]/g, "\\$&")}"`;
  };
  return ([all, opening, quotedLower, bareLower, quotedUpper, bareUpper, closing]) => {
    if (opening === undefined || closing === undefined) return all;
    const lower = boundOf(quotedLower, bareLower);
    if (lower instanceof ValueReject) return lower;
    const upper = boundOf(quotedUpper, bareUpper);
    return upper instanceof ValueReject ? upper : `${opening}${lower},${upper}${closing}`;
  };
}
