import { isJsonObject, type JsonObject, type JsonValue } from "../core/json.ts";

/** Whether as many members were read from an object as were written. A flat one shows it by its own names alone. */
export function hasAllMembers(value: JsonValue, written: number): boolean {
  let own = 0;
  for (const _ in value as JsonObject) own++;
  return own === written || countMembers(value) === written;
}

/** Members of all objects in a value. Fewer than were written: a name stood twice, and `JSON.parse` kept the last. */
function countMembers(value: JsonValue): number {
  let count = 0;
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === "object") count += countMembers(element);
  } else if (isJsonObject(value)) {
    for (const name in value) {
      const member = value[name] as JsonValue;
      count += typeof member === "object" ? 1 + countMembers(member) : 1;
    }
  }
  return count;
}

/** An object that is open, or an array: the names that it had so far, and the member or element at hand. */
type ObjectLevel = { readonly names: Set<string>; expectsName: boolean; at: string };
type ArrayLevel = { readonly names: null; at: number };

/**
 * The first name that an object of this JSON text has a second time, below the names and indexes around it; null where
 * there is none. Names are compared as they are meant, not as they are written.
 */
export function findDuplicateName(text: string): string | null {
  const open: (ObjectLevel | ArrayLevel)[] = [];
  for (let i = 0; i < text.length; i++) {
    const level = open.at(-1);
    const character = text[i];
    if (character === '"') {
      const start = i;
      i = endOfString(text, start);
      if (level?.names && level.expectsName && !takeName(level, text.slice(start, i + 1))) {
        return open.map(({ at }) => at).join(".");
      }
    } else if (character === "{") {
      open.push({ names: new Set(), expectsName: true, at: "" });
    } else if (character === "[") {
      open.push({ names: null, at: 0 });
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (character === "," && level !== undefined) {
      if (level.names === null) level.at++;
      else level.expectsName = true;
    }
  }
  return null;
}

/** False where the object has the name already. */
function takeName(level: ObjectLevel, written: string): boolean {
  level.at = JSON.parse(written) as string;
  level.expectsName = false;
  const { size } = level.names;
  return level.names.add(level.at).size > size;
}

/** The index of the closing quote. */
function endOfString(text: string, from: number): number {
  let i = from + 1;
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i;
}
