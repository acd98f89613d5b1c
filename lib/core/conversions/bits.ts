import type { ColumnType } from "../catalog.ts";
import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";

const binary = /^[01]*$/;

/** A string of 0 and 1; the server's X'1F' is not taken. A cast would pad or cut to bit(n), so all n have to be there. */
export function bitConversion({ name, length }: ColumnType): Conversion {
  const isFixed = name === "bit";
  const size = length === null ? "" : `, ${isFixed ? "exactly" : "at most"} ${length} of them`;
  const expected = `bit string: a JSON string of 0 and 1${size}`;
  const notBits = new Refusal("VALUE_TYPE", expected);
  const tooLong = new Refusal("VALUE_TOO_LONG", expected);
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string" || !binary.test(value)) return notBits;
      if (length === null || value.length === length) return value;
      if (value.length > length) return tooLong;
      return isFixed ? notBits : value;
    },
  };
}
