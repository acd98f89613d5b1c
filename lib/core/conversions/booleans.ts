import type { ConversionOptions } from "../contract.ts";
import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";

export function booleanConversion({ trueValues, falseValues }: ConversionOptions): Conversion {
  const words = new Map<string, "true" | "false">();
  for (const word of falseValues) words.set(word.toLowerCase(), "false");
  for (const word of trueValues) words.set(word.toLowerCase(), "true");
  const refused = new Refusal(
    "VALUE_TYPE",
    `boolean: true, false, or one of ${[...trueValues, ...falseValues].map((word) => JSON.stringify(word)).join(", ")}`,
  );
  const longest = Math.max(...[...words.keys()].map((word) => word.length), 0);
  return {
    exact: true,
    convert: (value) => {
      if (typeof value === "boolean") return value ? "true" : "false";
      // Numbers go through the same words: a contract may say that 1 is true and 2 is false.
      const word = typeof value === "number" ? String(value) : value;
      if (typeof word !== "string" || word.length > longest) return refused;
      return words.get(word) ?? words.get(word.toLowerCase()) ?? refused;
    },
  };
}
