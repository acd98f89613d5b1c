/** The two endless dates and timestamps; null for any other text. */
export function infinityOf(text: string): "infinity" | "-infinity" | null {
  if (text.length > 9) return null;
  const lower = text.toLowerCase();
  return lower === "infinity" || lower === "-infinity" ? lower : null;
}
