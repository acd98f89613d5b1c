import type { Conversion, Convert } from "../conversion.ts";
import type { JsonValue } from "../json.ts";
import { Refusal } from "../rejects.ts";

const maxDimensions = 6;
/** What an array literal may hold unquoted. The word NULL would be read as null, so it is not among them. */
const bare = /^(?!null$)[\w.:+-]+$/i;

/** `nested` is false where an inner array is an element's value (json), not a further dimension. */
export type ArrayElement = { readonly conversion: Conversion; readonly sql: string; readonly nested: boolean };

export function arrayConversion({ conversion, sql, nested }: ArrayElement): Conversion {
  const expected = `array of ${sql}`;
  const notArray = new Refusal("VALUE_TYPE", `${expected}: a JSON array`);
  const ragged = new Refusal("VALUE_TYPE", `${expected}: inner arrays of one length, none of them empty`);
  const tooDeep = new Refusal("VALUE_RANGE", `${expected}: at most ${maxDimensions} dimensions`);
  const isInner = (value: JsonValue) => nested && Array.isArray(value);
  const element = elementText(conversion.convert, expected);

  const literal = (items: readonly JsonValue[], lengths: readonly number[]): string | Refusal => {
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
    if (typeof text !== "string") return new Refusal(text.code, `${expected}, each ${text.expected}`);
    return bare.test(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
  };
}
