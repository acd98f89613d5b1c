import type { JsonValue } from "../../../core/json.ts";
import type { ValueReject } from "../../../core/rejects.ts";

/**
 * Turns one JSON value (never null) into a text that the input function of the column's type in PostgreSQL reads as
 * exactly that value, or says why it cannot.
 */
export type Convert = (value: JsonValue) => string | ValueReject;

export type Conversion = {
  readonly convert: Convert;
  /**
   * True if the conversion's own check is complete: the type accepts, unchanged, all that it lets through. Only then
   * does staging hold the column in its own type; else it is staged as text, and the server judges it.
   */
  readonly exact: boolean;
};
