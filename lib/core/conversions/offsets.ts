/** An offset from UTC as five optional groups: all of it, sign, hours, minutes, seconds. */
export const offsetGroups = String.raw`(?: ?([Zz]|([+-])(\d\d)(?::?(\d\d)(?::?(\d\d))?)?))?`;

/** PostgreSQL takes no offset so far from UTC, in seconds. */
const maxOffset = 16 * 3600;

/** Seconds east of UTC; null where there is no offset, undefined where it is out of PostgreSQL's range. */
export function offsetOf(groups: readonly (string | undefined)[]): number | null | undefined {
  const [written, sign, hours, minutes = 0, seconds = 0] = groups;
  if (written === undefined) return null;
  if (sign === undefined) return 0;
  const size = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  if (Number(minutes) > 59 || Number(seconds) > 59 || size >= maxOffset) return undefined;
  return sign === "-" ? -size : size;
}
