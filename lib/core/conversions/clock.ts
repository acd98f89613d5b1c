/** Hour, minute, second and fraction as four groups, the last two optional. */
export const clockGroups = String.raw`(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,100}))?)?`;

/** A time of day up to 23:59:59, with at most `fractionDigits` digits, as a part of a regular expression. */
export function commonClockForm(fractionDigits: number): string {
  const fraction = fractionDigits === 0 ? "" : String.raw`(?:\.\d{1,${fractionDigits}})?`;
  return String.raw`(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d${fraction})?`;
}

export type Clock = { readonly text: string; readonly seconds: number };

/** PostgreSQL keeps microseconds. */
export const microsecondDigits = 6;

/**
 * Reads the texts of `clockGroups`. As in PostgreSQL, 24:00:00 is the end of the day and second 60 the next minute's
 * first; with a fraction neither exists.
 */
export function clockOf(
  groups: readonly (string | undefined)[],
  fractionDigits: number,
): Clock | "VALUE_RANGE" | "VALUE_PRECISION_LOSS" {
  const [hours = "00", minutes = "00", seconds = "00", written = ""] = groups;
  const fraction = written.replace(/0+$/, "");
  const [hour, minute, second] = [Number(hours), Number(minutes), Number(seconds)];
  const total = hour * 3600 + minute * 60 + second;
  if (minute > 59 || second > 60 || hour > 24 || total > 86_400) return "VALUE_RANGE";
  if (fraction !== "" && (second === 60 || total === 86_400)) return "VALUE_RANGE";
  if (fraction.length > fractionDigits) return "VALUE_PRECISION_LOSS";
  return { text: `${hours}:${minutes}:${seconds}${fraction === "" ? "" : `.${fraction}`}`, seconds: total };
}
