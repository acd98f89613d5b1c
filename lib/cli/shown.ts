import { escapeText } from "../core/escape-text.ts";

/**
 * The same data with every text in it, names of members included, as a terminal may show it: keys of objects, values
 * and messages of servers come from outside.
 */
export function shown<Data>(data: Data): Data {
  return showAny(data) as Data;
}

function showAny(value: unknown): unknown {
  if (typeof value === "string") return escapeText(value);
  if (Array.isArray(value)) return value.map(showAny);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [escapeText(name), showAny(member)]));
}
