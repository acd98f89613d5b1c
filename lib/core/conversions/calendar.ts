/** The proleptic Gregorian calendar, which PostgreSQL uses too, without JavaScript's Date and its smaller range. */

/** Astronomical year: 0 is 1 BC. */
export type CivilDate = { readonly year: number; readonly month: number; readonly day: number };

/** Any date of the years 1 to 9999 but 29 February, as a part of a regular expression. */
export const commonDateForm =
  String.raw`(?!0000)\d{4}-` +
  String.raw`(?:02-(?:0[1-9]|1\d|2[0-8])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01]))`;

/** Year (from 1), month and day as three groups; a year beyond 9999 has no leading zero. */
export const dateGroups = String.raw`(\d{4}|[1-9]\d{4,6})-(\d\d)-(\d\d)`;

const monthLengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** Reads the texts of `dateGroups`; null where there is no such date. */
export function civilDateOf(groups: readonly (string | undefined)[], beforeChrist: boolean): CivilDate | null {
  const [written, month, day] = groups.map(Number) as [number, number, number];
  if (written === 0 || month < 1 || month > 12 || day < 1) return null;
  const year = beforeChrist ? 1 - written : written;
  const longest = month === 2 && isLeapYear(year) ? 29 : (monthLengths[month - 1] as number);
  return day > longest ? null : { year, month, day };
}

/**
 * Days since 1970-01-01.
 * Source: Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
 */
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
