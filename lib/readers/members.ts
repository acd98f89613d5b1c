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
