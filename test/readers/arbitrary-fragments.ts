import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import type { Stored } from "./support.ts";

/** Fragments of every shape: any values, with names that often stand twice, spelled and stored in every way. */

type Tree = { readonly number: string } | string | boolean | null | readonly Tree[] | { readonly members: Members };
type Members = readonly (readonly [string, Tree])[];

const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.bigInt().map(String),
  fc.stringMatching(/^-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?$/),
);
/** Code units: pairs and lone surrogates, controls, what needs an escape and what may have one. */
const units = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...'aZ0 {}[]:,é€"\\/\b\f\n\r\t\u0000\u0001\u007f\u2028') },
  fc.constantFrom("😀", "\ud800", "\udc00", "\\u0041", "\u00011.10"),
);
const string = fc.array(units, { maxLength: 8 }).map((all) => all.join(""));
const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom("a", "b", "é", "__proto__", "10") }, string);

const { members } = fc.letrec<{ members: Members; value: Tree }>((tie) => ({
  members: fc.array(fc.tuple(name, tie("value")), { maxLength: 5 }),
  value: fc.oneof(
    { maxDepth: 4 },
    number.map((text) => ({ number: text })),
    string,
    fc.constantFrom(true, false, null),
    fc.array(tie("value"), { maxLength: 4 }),
    tie("members").map((all) => ({ members: all as Members })),
  ),
}));

type Random = () => number;

/** Reproducible by its seed, which fast-check shows. Source: Mulberry32. */
function randomOf(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function space(random: Random): string {
  let text = "";
  while (random() < 0.2) text += " \t\r\n"[Math.floor(random() * 4)];
  return text;
}

const shortEscapes = new Map([...'\b\f\n\r\t"\\/'].map((unit, i) => [unit, `\\${'bfnrt"\\/'[i]}`]));

function spellString(text: string, random: Random): string {
  const characters = Array.from(text, (character) => {
    const plain = character >= " " && !'"\\'.includes(character) && character.isWellFormed();
    if (plain && random() < 0.8) return character;
    const short = shortEscapes.get(character);
    if (short && random() < 0.7) return short;
    const codes = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i).toString(16));
    return codes.map((hex) => `\\u${(random() < 0.5 ? hex : hex.toUpperCase()).padStart(4, "0")}`).join("");
  });
  return `"${characters.join("")}"`;
}

function spellTree(tree: Tree, random: Random): string {
  const gap = () => space(random);
  if (typeof tree === "string") return spellString(tree, random);
  if (typeof tree !== "object" || tree === null) return String(tree);
  if ("number" in tree) return tree.number;
  if (!("members" in tree)) return `[${gap()}${tree.map((item) => spellTree(item, random) + gap()).join(`,${gap()}`)}]`;
  const all = tree.members.map(([key, value]) => {
    return `${spellString(key, random) + gap()}:${gap()}${spellTree(value, random)}${gap()}`;
  });
  return `{${gap()}${all.join(`,${gap()}`)}}`;
}

const shapes = ["records", "array", "data", "ndjson"] as const;
type Plan = { readonly shape: (typeof shapes)[number]; readonly records: readonly Members[]; readonly beside: Tree };

function write({ shape, records, beside }: Plan, random: Random): string {
  const gap = () => space(random);
  const mark = random() < 0.1 ? "\ufeff" : "";
  const all = records.map((one) => spellTree({ members: one }, random));
  const array = `[${gap()}${all.join(`${gap()},${gap()}`)}${gap()}]`;
  const metadata = () => `${spellString("metadata", random)}${gap()}:${gap()}${spellTree(beside, random)}`;
  const wrap = (holder: string, content: string): string => {
    const members = [`${spellString(holder, random)}${gap()}:${gap()}${content}`];
    if (random() < 0.5) members.unshift(metadata());
    if (random() < 0.5) members.push(metadata());
    return `${mark}${gap()}{${gap()}${members.join(`${gap()},${gap()}`)}${gap()}}${gap()}`;
  };
  if (shape === "data" && all[0]) return wrap("data", all[0]);
  if (shape === "ndjson" && all[0]) return mark + gap() + all.join(`${random() < 0.5 ? "\r\n" : "\n"}${gap()}`) + gap();
  return shape === "array" ? mark + gap() + array + gap() : wrap("records", array);
}

/** Such names at the top of a first line make another shape of it, which the examples tell apart. */
const isLine = (one: Members) => one.every(([key]) => key !== "records" && key !== "data" && key !== "metadata");

const plan = fc.record({
  shape: fc.constantFrom(...shapes),
  records: fc.array(members.filter(isLine), { maxLength: 8 }),
  beside: members.map((all): Tree => ({ members: all })),
});

/** The text of a fragment. */
export const fragmentText = fc.tuple(plan, fc.integer()).map(([planned, seed]) => write(planned, randomOf(seed)));

/** How its bytes arrive. */
export const storage = fc.record({
  chunkSizes: fc.oneof(fc.constant([1]), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })),
  groupBytes: fc.constantFrom(1, 30, 100, 100_000),
});

export const compressions: Readonly<Record<string, (bytes: Buffer) => Omit<Stored, "chunkSizes">>> = {
  gzip: (bytes) => ({ body: gzipSync(bytes) }),
  "gzip of two members": (bytes) => ({ body: inTwo(bytes, gzipSync) }),
  zstd: (bytes) => ({ body: zstdCompressSync(bytes) }),
  "zstd of two frames": (bytes) => ({ body: inTwo(bytes, zstdCompressSync) }),
  brotli: (bytes) => ({ body: brotliCompressSync(bytes), contentEncoding: "br" }),
};

function inTwo(bytes: Buffer, compress: (part: Buffer) => Buffer): Buffer {
  const cut = bytes.length >> 1;
  return Buffer.concat([compress(bytes.subarray(0, cut)), compress(bytes.subarray(cut))]);
}
