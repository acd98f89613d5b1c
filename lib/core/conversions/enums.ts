import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";
import { scalarText } from "./text.ts";

const maxShownLabels = 20;

export function enumConversion(labels: readonly string[]): Conversion {
  const allowed = new Set(labels);
  const shown = labels.slice(0, maxShownLabels).map((label) => JSON.stringify(label));
  const more = labels.length > maxShownLabels ? ` and ${labels.length - maxShownLabels} more` : "";
  const expected = `exactly one of ${shown.join(", ")}${more}`;
  const notLabel = new Refusal("VALUE_ENUM", expected);
  const notText = new Refusal("VALUE_TYPE", expected);
  return {
    exact: true,
    convert: (value) => {
      const text = scalarText(value);
      if (text === null) return notText;
      return allowed.has(text) ? text : notLabel;
    },
  };
}
