import fc from "fast-check";
import { scalarText } from "../../lib/targets/postgres/encode/text-like.ts";
import { verdicts } from "./encode/verdicts.ts";

/** Texts that are nearly a value of a type: examples with a few characters changed, and everybody's traps. */

const traps = [
  ...[
    "",
    " ",
    "now",
    "today",
    "epoch",
    "infinity",
    "-inf",
    "NaN",
    "NULL",
    "null",
    "true",
    "1_000",
    "0x1F",
    "0b1",
    "+1",
  ],
  ...["1e2", "1.5", ".5", "5.", "-0", "16777217", "1e-46", "9007199254740993", "9223372036854775808", "{1,2}", "[1,2]"],
  ...[
    "2024-01-05",
    "0000-01-01",
    "10000-01-01",
    "294277-01-01",
    "0044-03-15 BC",
    "23:59:60",
    "24:00:00",
    "+0530",
    "+16:00",
  ],
  ...[
    "10:20 IST",
    "2024-03-10 02:30",
    "\\x00",
    "x'1F'",
    "P1D",
    "P1.5D",
    "1 day",
    "10.1",
    "::",
    "/8",
    "empty",
    "(,)",
    "😀",
    "\t",
    "\n",
  ],
];
const longest = 60;
const characters = [..."0123456789.-+eE:/ TZ_,'\"\\{}[]()xXnNaABCYMWDHSP%#\t\n\u00a0\u0661😀"];

const edit = fc.record({
  kind: fc.constantFrom("insert", "delete", "replace", "double", "append"),
  at: fc.nat(longest),
  character: fc.constantFrom(...characters),
});
type Edit = { readonly kind: string; readonly at: number; readonly character: string };

function edited(text: string, { kind, at, character }: Edit): string {
  const place = text.length === 0 ? 0 : at % text.length;
  const [head, here, tail] = [text.slice(0, place), text.slice(place, place + 1), text.slice(place + 1)];
  if (kind === "insert") return head + character + here + tail;
  if (kind === "delete") return head + tail;
  if (kind === "replace") return head + character + tail;
  return kind === "double" ? head + here + here + tail : text + character;
}

/** About a third of them are left as they are: what is valid has to be stored, too. */
export function garbageOf(type: string): fc.Arbitrary<string> {
  const examples = verdicts.flatMap((row) => (row.type === type ? [scalarText(row.input) ?? ""] : []));
  const seeds = [...new Set([...examples, ...traps])].filter((text) => text.length <= longest);
  return fc
    .tuple(fc.constantFrom(...seeds), fc.oneof(fc.constant([]), fc.array(edit, { minLength: 1, maxLength: 3 })))
    .map(([text, edits]) => edits.reduce(edited, text));
}
