import { randomBytes, randomInt } from "node:crypto";
import type { Mark } from "./searcher.ts";

/** Texts that nothing else contains, each under a name. */
export type Marks = {
  readonly list: readonly Mark[];
  /** Of letters, digits and hyphens. */
  word(name: string): string;
  /** With quotes, a backslash, a line end and letters beyond ASCII. */
  text(name: string): string;
  digits(name: string, count: number): string;
  /** A text that is made already, such as a date. */
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

/** `digits` of them, from 1 on, so that no zero in front is lost. */
export function number(digits: number): number {
  return randomInt(10 ** (digits - 1), 10 ** digits);
}
