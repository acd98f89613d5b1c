const dayLength = 86_400;
/** No zone is further from UTC than this. */
const furthestOffset = 16 * 3600;
/** Offsets change in 1835 for the first time, and Date ends in 275760: beyond, ask for the same day of another year. */
const earliest = Date.UTC(1800, 0, 1) / 1000;
const latest = Date.UTC(9000, 0, 1) / 1000;
/** The Gregorian calendar repeats, weekdays included, every 400 years. */
const calendarCycle = 146_097 * dayLength;
const maxCachedDays = 20_000;

/** Seconds east of UTC of a local time (as if it were UTC, in seconds); null where a clock shows it twice or never. */
export type LocalOffset = (localSeconds: number) => number | null;

/** @throws RangeError where there is no such zone */
export function openZone(timeZone: string): LocalOffset {
  const format = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });
  const offsetAt = (instant: number) => parseOffset(format.format(reachable(instant) * 1000));
  const days = new Map<number, readonly [number, number]>();

  /** The offsets before and after a local day: no zone changes twice within these 56 hours. */
  const offsetsAround = (day: number) => {
    const known = days.get(day);
    if (known !== undefined) return known;
    if (days.size >= maxCachedDays) days.clear();
    const start = day * dayLength;
    const found = [offsetAt(start - furthestOffset), offsetAt(start + dayLength + furthestOffset)] as const;
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

/** `+05:30`, with seconds only where there are any (local mean time, before zones were legal). */
export function offsetText(offset: number): string {
  const size = Math.abs(offset);
  const parts = [Math.floor(size / 3600), Math.floor(size / 60) % 60];
  if (size % 60 !== 0) parts.push(size % 60);
  return (offset < 0 ? "-" : "+") + parts.map((part) => String(part).padStart(2, "0")).join(":");
}
