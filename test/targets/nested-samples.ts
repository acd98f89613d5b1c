import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { JsonValue } from "../../lib/core/json.ts";
import type { Samples } from "./sample.ts";

/** Identifiers, JSON, arrays and ranges, with what the server has to show for them. */

const uuids: Samples["values"] = fc.tuple(fc.uuid(), fc.nat(3)).map(([same, spelling]) => {
  const bare = same.replaceAll("-", "");
  return { input: [same, same.toUpperCase(), bare, `{${same}}`][spelling] ?? same, same };
});

const hexPairs = (count: number) =>
  fc
    .uint8Array({ minLength: count, maxLength: count })
    .map((bytes) => Buffer.from(bytes).toString("hex").match(/../g) ?? []);
const macs = (count: number): Samples["values"] =>
  fc.tuple(hexPairs(count), fc.constantFrom(":", "-", "")).map(([pairs, separator]) => {
    return { input: pairs.join(separator).toUpperCase(), same: pairs.join(":") };
  });

/** The standard's own short form of an address, by which two spellings can be compared. */
export function shortAddress(address: string): string {
  const [host = "", length = ""] = address.split("/");
  const short = host.includes(":") ? new URL(`http://[${host}]/`).hostname : host;
  return `${short}/${length || (host.includes(":") ? 128 : 32)}`;
}
const ipv4 = fc.ipV4().map((address) => [address, 32] as const);
const ipv6 = fc.ipV6().map((address) => [address, 128] as const);
const addresses: Samples["values"] = fc.tuple(fc.oneof(ipv4, ipv6), fc.nat(128)).map(([[address, bits], length]) => {
  const input = length > bits ? address : `${address}/${length}`;
  return { input, same: (stored) => shortAddress(stored) === shortAddress(input) };
});
const networks: Samples["values"] = fc.tuple(fc.bigInt(0n, 2n ** 32n - 1n), fc.nat(32)).map(([address, length]) => {
  const host = BigInt(32 - length);
  const kept = (address >> host) << host;
  const text = `${[24n, 16n, 8n, 0n].map((shift) => (kept >> shift) & 255n).join(".")}/${length}`;
  return { input: text, same: text };
});

const json = fc
  .jsonValue({ stringUnit: "grapheme" })
  .filter((value) => value !== null && !JSON.stringify(value).includes("\\u0000"));
const documents: Samples["values"] = json.map((value) => ({
  input: value as JsonValue,
  same: (stored) => isDeepStrictEqual(withoutNegativeZero(JSON.parse(stored)), withoutNegativeZero(value)),
}));

/** jsonb keeps numbers as numeric, which has no negative zero. */
function withoutNegativeZero(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

const element = fc.option(
  fc.oneof(
    fc.string({ unit: "binary", maxLength: 6 }).filter((text) => !text.includes("\0")),
    fc.constantFrom("NULL", "null", "", "{}", '"', "\\", " ", "a,b"),
  ),
);
const isList = (items: JsonValue): Samples["values"] =>
  fc.constant({ input: items, same: (stored) => isDeepStrictEqual(JSON.parse(stored), items) });
const textLists: Samples["values"] = fc.array(element, { maxLength: 5 }).chain(isList);
const grids: Samples["values"] = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }))
  .chain(([rows, columns]) =>
    fc.array(
      fc.array(fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })), {
        minLength: columns,
        maxLength: columns,
      }),
      { minLength: rows, maxLength: rows },
    ),
  )
  .chain(isList);

/** `[lower, upper)` of integers; null has no bound. */
type Span = readonly [lower: number | null, upper: number | null];
const bound = fc.option(fc.integer({ min: -50, max: 50 }));
const span = fc.tuple(bound, bound, fc.boolean(), fc.boolean()).map(([one, other, withLower, withUpper]) => {
  const [lower, upper] = one !== null && other !== null && one > other ? [other, one] : [one, other];
  const text = `${withLower ? "[" : "("}${lower ?? ""},${upper ?? ""}${withUpper ? "]" : ")"}`;
  const canonical: Span = [
    lower !== null && !withLower ? lower + 1 : lower,
    upper !== null && withUpper ? upper + 1 : upper,
  ];
  return { text, canonical };
});
const isEmpty = ([lower, upper]: Span): boolean => lower !== null && upper !== null && lower >= upper;
const spanText = ([lower, upper]: Span): string => `${lower === null ? "(" : "["}${lower ?? ""},${upper ?? ""})`;
const spans: Samples["values"] = span.map(({ text, canonical }) => ({
  input: text,
  same: isEmpty(canonical) ? "empty" : spanText(canonical),
}));
const manySpans: Samples["values"] = fc.array(span, { maxLength: 4 }).map((parts) => {
  const same = `{${merged(parts.map(({ canonical }) => canonical))
    .map(spanText)
    .join(",")}}`;
  return { input: `{${parts.map(({ text }) => text).join(",")}}`, same };
});

function merged(parts: readonly Span[]): Span[] {
  const sorted = parts.filter((part) => !isEmpty(part)).toSorted(([a], [b]) => (a ?? -Infinity) - (b ?? -Infinity));
  const result: Span[] = [];
  for (const [lower, upper] of sorted) {
    const last = result.at(-1);
    if (!last || (last[1] !== null && lower !== null && lower > last[1])) result.push([lower, upper]);
    else result[result.length - 1] = [last[0], last[1] === null || upper === null ? null : Math.max(last[1], upper)];
  }
  return result;
}

export const nestedSamples: readonly Samples[] = [
  { type: "uuid", values: uuids },
  { type: "macaddr", values: macs(6) },
  { type: "macaddr8", values: macs(8) },
  { type: "inet", values: addresses },
  { type: "cidr", values: networks },
  { type: "json", values: documents },
  { type: "jsonb", values: documents },
  { type: "text[]", values: textLists, show: "array_to_json(value)" },
  { type: "integer[]", values: grids, show: "array_to_json(value)" },
  { type: "int4range", values: spans },
  { type: "int4multirange", values: manySpans },
];
