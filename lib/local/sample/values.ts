import type { JsonValue } from "../../core/json.ts";
import type { Random } from "./random.ts";

const dayMilliseconds = 86_400_000;

/** `2026-03-01`, so many days before the clock (UTC). */
export function dateBefore(now: Date, days: number): string {
  return new Date(now.getTime() - days * dayMilliseconds).toISOString().slice(0, 10);
}

export function addDays(date: string, days: number): string {
  return dateBefore(new Date(`${date}T00:00:00Z`), -days);
}

/** A time in working hours, which no change to or from daylight saving time can make ambiguous. */
export function workingTime(random: Random): string {
  const pad = (value: number): string => String(value).padStart(2, "0");
  return `${pad(random.int(8, 17))}:${pad(random.int(0, 59))}:${pad(random.int(0, 59))}`;
}

/** Mostly the value; now and then nothing, in the spellings that real exports have for it. Nullable columns only. */
export function orNothing(random: Random, value: JsonValue): JsonValue {
  if (random.chance(0.94)) return value;
  return random.pick([null, null, "NA", ""]);
}

/** A position as freezers are labelled: freezer, rack, box, well. */
export function freezerPosition(random: Random): string {
  return `F${random.int(1, 24)}-R${random.int(1, 12)}-B${random.int(1, 40)}-${random.pick([..."ABCDEFGHI"])}${random.int(1, 9)}`;
}

export function uuid(random: Random): string {
  const digits = random.hex(30).toLowerCase();
  const groups = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `4${digits.slice(12, 15)}`,
    `a${digits.slice(15, 18)}`,
    digits.slice(18),
  ];
  return groups.join("-");
}
