import type { ConversionOptions } from "../../../lib/core/contract.ts";
import type { JsonValue } from "../../../lib/core/json.ts";
import type { RejectCode } from "../../../lib/core/rejects.ts";

/**
 * What a conversion makes of one input: the text that it hands to the server, or a code. `stored` is what the server
 * shows for that text under `TimeZone` UTC and `DateStyle` ISO.
 */
export type Verdict = {
  /** As in a cast; `mood` is the enum of column-types.ts. */
  readonly type: string;
  readonly input: JsonValue;
  readonly verdict: { readonly text: string; readonly stored: string } | { readonly code: RejectCode };
  readonly options: Partial<ConversionOptions>;
};

/** Input, the text handed over, and what the server shows for it where that differs. */
type Accepted = readonly [input: JsonValue, text: string, stored?: string];

export function accepts(type: string, rows: readonly Accepted[]): readonly Verdict[] {
  return rows.map(([input, text, stored]) => ({ type, input, verdict: { text, stored: stored ?? text }, options: {} }));
}

export function refuses(type: string, code: RejectCode, inputs: readonly JsonValue[]): readonly Verdict[] {
  return inputs.map((input) => ({ type, input, verdict: { code }, options: {} }));
}

export function underOptions(
  options: Partial<ConversionOptions>,
  ...verdicts: readonly (readonly Verdict[])[]
): readonly Verdict[] {
  return verdicts.flat().map((verdict) => ({ ...verdict, options }));
}

/** What the server makes of an example's plain text where that is not what the conversion says, and why they differ. */
export type Difference = {
  readonly type: string;
  readonly text: string;
  readonly stored: Stored;
  readonly why: string;
};

export const varies = Symbol("varies");
/** What the server would store; null where it refuses, `varies` where that depends on the clock or the release. */
type Stored = string | null | typeof varies;

export function differs(
  type: string,
  why: string,
  rows: readonly (readonly [text: string, stored: Stored])[],
): readonly Difference[] {
  return rows.map(([text, stored]) => ({ type, text, stored, why }));
}
