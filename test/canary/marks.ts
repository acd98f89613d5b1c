import { randomBytes, randomInt } from "node:crypto";

type Mark = { readonly name: string; readonly text: string };

/** Texts that nothing else contains, each under a name. */
export type Marks = {
  readonly list: readonly Mark[];
  /** A text of letters, digits and hyphens. */
  word(name: string): string;
  /** A text with quotes, a backslash, a line end and letters beyond ASCII. */
  text(name: string): string;
  digits(name: string, count: number): string;
  /** Adds a text that exists already, such as a date. */
  keep(name: string, text: string): string;
};

export function openMarks(): Marks {
  const list: Mark[] = [];
  const keep = (name: string, text: string): string => {
    list.push({ name, text });
    return text;
  };
  return {
    list,
    keep,
    word: (name) => keep(name, `canary-${hex(8)}`),
    text: (name) => keep(name, `canary "${hex(4)}" \\ é\n'${hex(4)}'`),
    digits: (name, count) =>
      keep(name, Array.from({ length: count }, (_, place) => randomInt(place === 0 ? 1 : 0, 10)).join("")),
  };
}

export function hex(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}

/** A number of so many digits, the first of which is no zero. */
export function number(digits: number): number {
  return randomInt(10 ** (digits - 1), 10 ** digits);
}

type Hit = { readonly mark: string; readonly form: string };

type Needle = Hit & { readonly text: string; readonly anyCase: boolean };

/** Finds marks in a text: as they are, and in every form that writing may give them. */
export function openSearcher(marks: readonly Mark[]): (text: string) => Hit[] {
  const needles = marks.flatMap(needlesOf);
  return (text) => {
    const lower = text.toLowerCase();
    const found = needles.filter((needle) => (needle.anyCase ? lower : text).includes(needle.text));
    return found.map(({ mark, form }) => ({ mark, form }));
  };
}

/** Shorter ones would be found by chance. */
const shortestMark = 8;

function needlesOf({ name, text }: Mark): Needle[] {
  if (text.length < shortestMark) throw new Error(`mark ${name}: expected at least ${shortestMark} characters`);
  const escaped = JSON.stringify(text).slice(1, -1);
  const readable: Readonly<Record<string, string>> = {
    plain: text,
    "in JSON": escaped,
    "in JSON in JSON": JSON.stringify(escaped).slice(1, -1),
    "in a URL": encodeURIComponent(text),
    "in hex": Buffer.from(text).toString("hex"),
  };
  const needles = Object.entries(readable).map(([form, needle]) => {
    return { mark: name, form, text: needle.toLowerCase(), anyCase: true };
  });
  for (const base64 of [0, 1, 2].map((shift) => inBase64(text, shift))) {
    const url = base64.replaceAll("+", "-").replaceAll("/", "_");
    for (const needle of [base64, url]) needles.push({ mark: name, form: "in base64", text: needle, anyCase: false });
  }
  // A plain word is the same in several forms.
  return [...new Map(needles.reverse().map((needle) => [needle.text, needle])).values()];
}

/** The part that is in the base64 of every text with this one in it, at a place that is `shift` modulo 3. */
function inBase64(text: string, shift: number): string {
  const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]);
  return bytes.toString("base64").slice(Math.ceil((shift * 8) / 6), Math.floor((bytes.length * 8) / 6));
}
