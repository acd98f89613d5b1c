import type { JsonValue } from "../../../core/json.ts";
import type { Refusal } from "../../../core/rejects.ts";

/**
 * Turns one JSON value (never null) into the text that PostgreSQL's input function of the column's type reads back
 * as exactly that value, or says why it cannot.
 */
export type Convert = (value: JsonValue) => string | Refusal;

export type Conversion = {
  readonly convert: Convert;
  /**
   * True where the conversion's own check is exact and complete: what it lets through, the type accepts unchanged.
   * Only then may staging hold the column in its own type; otherwise it is staged as text and judged by the server.
   */
  readonly exact: boolean;
};
