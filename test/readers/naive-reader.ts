import { ExactNumber, type JsonValue } from "../../lib/core/json.ts";

/** A reader that only has to be right: one walk over all the bytes, by the letter of RFC 8259 and of the formats. */

export type NaiveRecord = {
  readonly offset: number;
  readonly end: number;
  readonly value: string;
  readonly duplicate: string | null;
};

type Walk = { readonly bytes: Buffer; at: number; path: (string | number)[]; duplicate: string | null };
type Named = { readonly name: string; readonly offset: number; readonly byte: string };

/** The records of a fragment that is without fault. */
export function readNaively(bytes: Buffer): NaiveRecord[] {
  const walk: Walk = { bytes, at: 0, path: [], duplicate: null };
  if (bytes[0] === 0xef) walk.at = 3;
  skipSpace(walk);
  if (peek(walk) === "[") return readElements(walk);
  const start = walk.at;
  const members = passObject(walk);
  const holder = members.find(({ name }) => name === "records");
  if (holder) return readElements({ ...walk, at: holder.offset });
  const data = members.filter(({ name }) => name === "data");
  if (data.length === 1 && data[0]?.byte === "{" && members.every(({ name }) => name === "data" || name === "metadata"))
    return [readRecord({ ...walk, at: data[0].offset })];
  walk.at = start;
  const records: NaiveRecord[] = [];
  for (; walk.at < bytes.length; skipSpace(walk)) records.push(readRecord(walk));
  return records;
}

function passObject(walk: Walk): Named[] {
  const members: Named[] = [];
  walk.at++;
  while (skipSpace(walk) !== "}") {
    if (peek(walk) === ",") walk.at++;
    skipSpace(walk);
    const name = readString(walk);
    skipSpace(walk);
    walk.at++;
    members.push({ name, byte: skipSpace(walk), offset: walk.at });
    readValue(walk);
  }
  walk.at++;
  return members;
}

function readElements(walk: Walk): NaiveRecord[] {
  const records: NaiveRecord[] = [];
  walk.at++;
  while (skipSpace(walk) !== "]") {
    if (peek(walk) === ",") walk.at++;
    skipSpace(walk);
    records.push(readRecord(walk));
  }
  return records;
}

function readRecord(walk: Walk): NaiveRecord {
  const offset = walk.at;
  Object.assign(walk, { duplicate: null, path: [] });
  const value = readValue(walk);
  return { offset, end: walk.at, value, duplicate: walk.duplicate };
}

/** A value in one spelling: names in order, the last of twins, numbers as they are written. */
function readValue(walk: Walk): string {
  const byte = peek(walk);
  if (byte === '"') return JSON.stringify(readString(walk));
  if (byte !== "{" && byte !== "[") return readWord(walk);
  const members = new Map<string | number, string>();
  walk.at++;
  for (let index = 0; skipSpace(walk) !== "}" && peek(walk) !== "]"; index++) {
    if (peek(walk) === ",") walk.at++;
    skipSpace(walk);
    const name = byte === "{" ? readName(walk, members) : index;
    walk.path.push(name);
    members.set(name, readValue(walk));
    walk.path.pop();
  }
  walk.at++;
  return byte === "[" ? `[${[...members.values()].join()}]` : spellObject([...members] as [string, string][]);
}

function readName(walk: Walk, members: ReadonlyMap<string | number, string>): string {
  const name = readString(walk);
  if (members.has(name)) walk.duplicate ??= [...walk.path, name].join(".");
  skipSpace(walk);
  walk.at++;
  skipSpace(walk);
  return name;
}

function readWord(walk: Walk): string {
  const start = walk.at;
  while (/[-+.\w]/.test(peek(walk))) walk.at++;
  return walk.bytes.toString("latin1", start, walk.at);
}

const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

function readString(walk: Walk): string {
  let text = "";
  walk.at++;
  for (let start = walk.at; ; ) {
    const byte = peek(walk);
    if (byte !== '"' && byte !== "\\") {
      walk.at++;
      continue;
    }
    text += walk.bytes.toString("utf8", start, walk.at++);
    if (byte === '"') return text;
    const escaped = peek(walk);
    const hex = walk.bytes.toString("latin1", walk.at + 1, walk.at + 5);
    text += escaped === "u" ? String.fromCharCode(Number.parseInt(hex, 16)) : (escapes[escaped] ?? escaped);
    walk.at += escaped === "u" ? 5 : 1;
    start = walk.at;
  }
}

const peek = ({ bytes, at }: Walk): string => (at < bytes.length ? String.fromCharCode(bytes[at] as number) : "");

function skipSpace(walk: Walk): string {
  while (peek(walk) !== "" && " \t\r\n".includes(peek(walk))) walk.at++;
  return peek(walk);
}

const spellObject = (members: readonly (readonly [string, string])[]): string =>
  `{${members
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
    .toSorted()
    .join()}}`;

/** What the reader handed over, in the same spelling. */
export function spell(value: JsonValue): string {
  if (value instanceof ExactNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(spell).join()}]`;
  if (typeof value === "object" && value !== null)
    return spellObject(Object.entries(value).map(([name, member]) => [name, spell(member)] as const));
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
