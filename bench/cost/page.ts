import type { ScaleResults } from "../scale/results.ts";
import type { Prices } from "./prices.ts";
export function renderCost(_results: ScaleResults, _prices: Prices): string {
  return "# Cost\n";
}
