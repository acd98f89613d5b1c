import { expect, test } from "vitest";
import { toJsonText } from "../../../lib/core/json.ts";
import { verdictOf } from "./column-types.ts";
import { verdicts } from "./verdicts.ts";

const shown = (text: string) => (text.length > 60 ? `${text.slice(0, 60)}... (${text.length})` : text);
const inputText = (input: Parameters<typeof toJsonText>[0]) => {
  try {
    return shown(toJsonText(input));
  } catch {
    return "(too deep to show)";
  }
};

for (const { type, input, verdict, options } of verdicts) {
  const expected = "text" in verdict ? verdict.text : verdict.code;
  test(`${type} ${JSON.stringify(options)}: ${inputText(input)} -> ${shown(expected)}`, () => {
    expect(verdictOf(type, input, options)).toBe(expected);
  });
}
