const specialNumber = /^(?:nan|(-?)inf(?:inity)?)$/i;

/** NaN and the infinities in PostgreSQL's spelling; null for any other text. */
export function specialNumberOf(text: string): "NaN" | "Infinity" | "-Infinity" | null {
  // Longest: "-Infinity". Spares the regex for almost every text.
  if (text.length > 9) return null;
  const match = specialNumber.exec(text);
  if (match === null) return null;
  if (match[1] === undefined) return "NaN";
  return match[1] === "-" ? "-Infinity" : "Infinity";
}
