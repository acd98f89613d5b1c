import { expect, test } from "vitest";
import { clipText, escapeText } from "../../lib/core/rejects.ts";

test("what steers a terminal or a log is shown and does nothing", () => {
  expect(escapeText('a\u001b[2J"b"\r\n\tc\u0000\u007f\u009b\u2028\u202e')).toBe(
    String.raw`a\u001b[2J"b"\r\n\tc\u0000\u007f\u009b\u2028\u202e`,
  );
  expect(escapeText("größe 测量 👩‍🔬 C:\\x")).toBe("größe 测量 👩‍🔬 C:\\x");
});

test("a long text is cut", () => {
  expect(clipText("\n".repeat(20), 10)).toBe(String.raw`\n\n\n\...`);
  expect(clipText("short", 10)).toBe("short");
});
