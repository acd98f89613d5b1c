import type { ScaleResults } from "./results.ts";
export function renderScale(results: ScaleResults): string {
  return JSON.stringify(results.simulated, null, 1);
}
