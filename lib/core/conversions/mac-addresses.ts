import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";

const pairs = { macaddr: 6, macaddr8: 8 } as const;

/** Pairs of hexadecimal digits behind one kind of separator or none, or in quads behind points; stored with colons. */
export function macAddressConversion(type: keyof typeof pairs): Conversion {
  const count = pairs[type];
  const form = new RegExp(
    `^(?:[\\da-f]{2}([:-])(?:[\\da-f]{2}\\1){${count - 2}}[\\da-f]{2}` +
      `|(?:[\\da-f]{4}\\.){${count / 2 - 1}}[\\da-f]{4}|[\\da-f]{${2 * count}})$`,
    "i",
  );
  const refused = new Refusal("VALUE_TYPE", `${type}: ${count} pairs of hexadecimal digits, such as 08:00:2b:01:02:03`);
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string" || !form.test(value)) return refused;
      const digits = value.toLowerCase().replaceAll(/[:.-]/g, "");
      return (digits.match(/../g) as string[]).join(":");
    },
  };
}
