import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";

/** The server would read 10.1 as 10.0.0.1 or 10.1.0.0/16, so every part must be written. */
const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$|\/)|(?=$|\/))){4}(?:\/\d{1,2})?$/;
const ipv6 = /^(?=.*:.*:)[\da-fA-F:]{2,39}(?:\d\.\d{1,3}\.\d{1,3}\.\d{1,3})?(?:\/\d{1,3})?$/;

export function networkConversion(type: "inet" | "cidr"): Conversion {
  const notAddress = new Refusal("VALUE_TYPE", `${type}: a complete IPv4 or IPv6 address, with or without /length`);
  return {
    // IPv6's many spellings and the bits behind a cidr's length are left to the server.
    exact: false,
    convert: (value) => {
      if (typeof value !== "string" || value.length > 64) return notAddress;
      return ipv4.test(value) || ipv6.test(value) ? value : notAddress;
    },
  };
}
