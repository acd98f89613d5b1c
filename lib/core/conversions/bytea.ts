import type { ConversionOptions } from "../contract.ts";
import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";

const notHexDigit = /[^\da-fA-F]/;
const notHex = new Refusal("VALUE_TYPE", "bytea: an even number of hexadecimal digits, with or without a leading \\x");
const notBase64 = new Refusal("VALUE_TYPE", "bytea: base64 with its padding, without line breaks");

export function byteaConversion({ byteaEncoding }: ConversionOptions): Conversion {
  const toHex = byteaEncoding === "hex" ? readHex : readBase64;
  const refused = byteaEncoding === "hex" ? notHex : notBase64;
  return {
    exact: true,
    convert: (value) => {
      const hex = typeof value === "string" ? toHex(value) : null;
      return hex === null ? refused : `\\x${hex}`;
    },
  };
}

function readHex(text: string): string | null {
  const digits = text.startsWith("\\x") ? text.slice(2) : text;
  return digits.length % 2 !== 0 || notHexDigit.test(digits) ? null : digits;
}

/** Buffer skips what it cannot read; only a text that it would write the same way is taken. */
function readBase64(text: string): string | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes.toString("hex") : null;
}
