import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";

const canonical = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;
const spelled =
  /^(?:([\da-f]{8})-([\da-f]{4})-([\da-f]{4})-([\da-f]{4})-([\da-f]{12})|([\da-f]{8})([\da-f]{4})([\da-f]{4})([\da-f]{4})([\da-f]{12}))$/i;
const notUuid = new Refusal("VALUE_TYPE", "uuid: 32 hexadecimal digits, with or without hyphens, in braces or not");

/** One value gets one spelling (lower case, hyphens), so that it is one natural key too. */
export const uuidConversion: Conversion = {
  exact: true,
  convert: (value) => {
    if (typeof value !== "string") return notUuid;
    if (canonical.test(value)) return value;
    const bare = value.startsWith("{") && value.endsWith("}") ? value.slice(1, -1) : value;
    const match = spelled.exec(bare);
    if (match === null) return notUuid;
    return match
      .slice(1)
      .filter((part) => part !== undefined)
      .join("-")
      .toLowerCase();
  },
};
