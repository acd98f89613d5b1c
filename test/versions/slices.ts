import { vi } from "vitest";
import { onCrashPoint } from "../../lib/wiring.ts";

const longerThanSlice = 31_000;

/**
 * Lets the clock of this process leap with every group of records, so that each group is a slice of its own, while
 * `work` goes on; `batchSize` 1 in the input of the load makes a group of every record. Answers how many slices it saw.
 */
export async function slicing(work: () => Promise<unknown>, afterFirst: () => Promise<unknown>): Promise<number> {
  const now = Date.now.bind(Date);
  let ahead = 0;
  let slices = 0;
  const clock = vi.spyOn(Date, "now").mockImplementation(() => now() + ahead);
  onCrashPoint(async (point) => {
    if (point === "mid-copy") ahead += longerThanSlice;
    if (point !== "after-copy") return;
    slices += 1;
    if (slices === 1) await afterFirst();
  });
  try {
    await work();
    return slices;
  } finally {
    onCrashPoint(() => undefined);
    clock.mockRestore();
  }
}
