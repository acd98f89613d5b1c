/** Control characters, line ends of all kinds, and what turns the direction of writing. */
const steering = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text from outside as it may stand in a message or on a terminal: one line, and nothing in it that steers. */
export function escapeText(text: string): string {
  return text.replaceAll(steering, (character) => named[character] ?? escapeCode(character));
}

function escapeCode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The same, at most `width` characters of it. */
export function clipText(text: string, width: number): string {
  const safe = escapeText(text);
  return safe.length > width ? `${safe.slice(0, width - 3)}...` : safe;
}
