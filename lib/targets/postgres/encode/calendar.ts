/** The proleptic Gregorian calendar, which PostgreSQL uses too, without JavaScript's Date and its smaller range. */

/** Astronomical year: 0 is 1 BC. */
type CivilDate = { readonly year: number; readonly month: number; readonly day: number };

/** Part of a regular expression: any date of the years 1 to 9999 except 29 February. */
export const commonDateForm =
  String.raw`(?!0000)\d{4}-` +
  String.raw`(?:02-(?:0[1-9]|1\d|2[0-8])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01]))`;

/** Part of a regular expression: year, month and day as three groups; a year beyond 9999 has no leading zero. */
export const dateGroups = String.raw`(\d{4}|[1-9]\d{4,6})-(\d\d)-(\d\d)`;

const monthLengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Reads the texts of `dateGroups`; null if there is no such date. */
export function civilDateOf(groups: readonly (string | undefined)[], beforeChrist: boolean): CivilDate | null {
  const [written, month, day] = groups.map(Number) as [number, number, number];
  if (written === 0 || month < 1 || month > 12 || day < 1) return null;
  const year = beforeChrist ? 1 - written : written;
  const longest = month === 2 && isLeapYear(year) ? 29 : (monthLengths[month - 1] as number);
  return day > longest ? null : { year, month, day };
}

function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** Days since 1970-01-01. Source: Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil. */
export function dayNumber({ year, month, day }: CivilDate): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** PostgreSQL's first day: Julian day 0, 24 November 4714 BC. */
export const firstDay = dayNumber({ year: -4713, month: 11, day: 24 });

/** Part of a regular expression: hour, minute, second and fraction as four groups, the last two optional. */
export const clockGroups = String.raw`(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,100}))?)?`;

/** Part of a regular expression: a time of day up to 23:59:59 with at most `fractionDigits` digits. */
export function commonClockForm(fractionDigits: number): string {
  const fraction = fractionDigits === 0 ? "" : String.raw`(?:\.\d{1,${fractionDigits}})?`;
  return String.raw`(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d${fraction})?`;
}

/** PostgreSQL keeps microseconds. */
export const microsecondDigits = 6;

/**
 * Reads the texts of `clockGroups`. As in PostgreSQL, 24:00:00 is the end of the day and second 60 is the first of the
 * next minute; neither may have a fraction.
 */
export function clockOf(
  groups: readonly (string | undefined)[],
  fractionDigits: number,
): { text: string; seconds: number } | "VALUE_RANGE" | "VALUE_PRECISION_LOSS" {
  const [hours = "00", minutes = "00", seconds = "00", written = ""] = groups;
  const fraction = written.replace(/0+$/, "");
  const [hour, minute, second] = [Number(hours), Number(minutes), Number(seconds)];
  const total = hour * 3600 + minute * 60 + second;
  if (minute > 59 || second > 60 || hour > 24 || total > 86_400) return "VALUE_RANGE";
  if (fraction !== "" && (second === 60 || total === 86_400)) return "VALUE_RANGE";
  if (fraction.length > fractionDigits) return "VALUE_PRECISION_LOSS";
  return { text: `${hours}:${minutes}:${seconds}${fraction === "" ? "" : `.${fraction}`}`, seconds: total };
}

/** The infinite dates and timestamps in PostgreSQL's spelling; null for any other text. */
export function infinityOf(text: string): "infinity" | "-infinity" | null {
  if (text.length > 9) return null;
  const lower = text.toLowerCase();
  return lower === "infinity" || lower === "-infinity" ? lower : null;
}

/** Part of a regular expression: an offset as five optional groups: all of it, sign, hours, minutes, seconds. */
export const offsetGroups = String.raw`(?: ?([Zz]|([+-])(\d\d)(?::?(\d\d)(?::?(\d\d))?)?))?`;

/** In seconds: PostgreSQL takes no offset so far from UTC, and no time zone has one. */
const maxOffset = 16 * 3600;

/** Reads the texts of `offsetGroups` as seconds east of UTC; null for none, undefined if out of PostgreSQL's range. */
export function offsetOf(groups: readonly (string | undefined)[]): number | null | undefined {
  const [written, sign, hours, minutes = 0, seconds = 0] = groups;
  if (written === undefined) return null;
  if (sign === undefined) return 0;
  const size = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  if (Number(minutes) > 59 || Number(seconds) > 59 || size >= maxOffset) return undefined;
  return sign === "-" ? -size : size;
}

const dayLength = 86_400;
/** Offsets first change in 1835, and Date ends in 275760: `reachable` moves other instants between these bounds. */
const earliest = Date.UTC(1800, 0, 1) / 1000;
const latest = Date.UTC(9000, 0, 1) / 1000;
/** The Gregorian calendar, weekdays included, repeats every 400 years. */
const calendarCycle = 146_097 * dayLength;
const maxCachedDays = 20_000;

/** The seconds east of UTC of a local time (its seconds as if it were UTC); null if a clock shows it twice or never. */
type LocalOffset = (localSeconds: number) => number | null;

/** @throws RangeError if there is no such zone */
export function openZone(timeZone: string): LocalOffset {
  const format = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });
  const offsetAt = (instant: number) => parseOffset(format.format(reachable(instant) * 1000));
  const days = new Map<number, readonly [number, number]>();

  /** The offsets before and after a local day; no zone changes twice within the 56 hours between them. */
  const offsetsAround = (day: number) => {
    const known = days.get(day);
    if (known !== undefined) return known;
    if (days.size >= maxCachedDays) days.clear();
    const start = day * dayLength;
    const found = [offsetAt(start - maxOffset), offsetAt(start + dayLength + maxOffset)] as const;
    days.set(day, found);
    return found;
  };

  return (localSeconds) => {
    const [before, after] = offsetsAround(Math.floor(localSeconds / dayLength));
    if (before === after) return before;
    const isBefore = offsetAt(localSeconds - before) === before;
    const isAfter = offsetAt(localSeconds - after) === after;
    if (isBefore === isAfter) return null;
    return isBefore ? before : after;
  };
}

function reachable(instant: number): number {
  if (instant < earliest) return earliest;
  return instant < latest ? instant : instant - Math.ceil((instant - latest) / calendarCycle) * calendarCycle;
}

const longOffset = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/;

function parseOffset(formatted: string): number {
  const match = longOffset.exec(formatted);
  if (match?.[1] === undefined) return 0;
  const seconds = Number(match[2]) * 3600 + Number(match[3]) * 60 + Number(match[4] ?? 0);
  return match[1] === "-" ? -seconds : seconds;
}

/** Such as `+05:30`; with seconds only if there are any (local mean time, in use before time zones). */
export function offsetText(offset: number): string {
  const size = Math.abs(offset);
  const parts = [Math.floor(size / 3600), Math.floor(size / 60) % 60];
  if (size % 60 !== 0) parts.push(size % 60);
  return (offset < 0 ? "-" : "+") + parts.map((part) => String(part).padStart(2, "0")).join(":");
}
