/** Finds marks in whatever was written: as they are, and in every form that writing may give them. */

export type Mark = { readonly name: string; readonly text: string };
export type Hit = { readonly mark: string; readonly form: string };

type Needle = Hit & { readonly text: string; readonly anyCase: boolean };

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
  // a plain word is the same in several forms
  return [...new Map(needles.reverse().map((needle) => [needle.text, needle])).values()];
}

/** What is always in the base64 of a text that has this one somewhere, its place taken modulo 3. */
function inBase64(text: string, shift: number): string {
  const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]);
  return bytes.toString("base64").slice(Math.ceil((shift * 8) / 6), Math.floor((bytes.length * 8) / 6));
}
