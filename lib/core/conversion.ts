import type { JsonValue } from "./json.ts";
import type { Refusal } from "./rejects.ts";

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

/** The per-column settings of a contract that bear on conversion, with defaults filled in. */
export type ConversionOptions = {
  /** IANA zone of naive timestamps in a timestamptz column; default UTC. */
  readonly timezone: string;
  readonly trueValues: readonly string[];
  readonly falseValues: readonly string[];
  readonly byteaEncoding: "hex" | "base64";
  readonly allowInfinity: boolean;
};

export const defaultConversionOptions: ConversionOptions = {
  timezone: "UTC",
  trueValues: ["true", "yes", "t", "1"],
  falseValues: ["false", "no", "f", "0"],
  byteaEncoding: "hex",
  allowInfinity: false,
};
