import type fc from "fast-check";
import type { JsonValue } from "../../lib/core/json.ts";

/** A valid value, and the text that the server has to show for it, or a test of that text. */
export type Sample = { readonly input: JsonValue; readonly same: string | ((stored: string) => boolean) };

export type Samples = {
  readonly type: string;
  readonly values: fc.Arbitrary<Sample>;
  /** An expression over `value` that shows what is stored, where its text would be hard to read. */
  readonly show?: string;
};
