import { intervalVerdicts } from "./interval-verdicts.ts";
import { networkVerdicts } from "./network-verdicts.ts";
import { numberVerdicts } from "./number-verdicts.ts";
import { rangeVerdicts } from "./range-verdicts.ts";
import { scalarVerdicts } from "./scalar-verdicts.ts";
import { timeVerdicts } from "./time-verdicts.ts";
import type { Verdict } from "./verdict.ts";

/** Every example there is, for the unit tests and for a live server. */
export const verdicts: readonly Verdict[] = [
  ...numberVerdicts,
  ...scalarVerdicts,
  ...timeVerdicts,
  ...intervalVerdicts,
  ...networkVerdicts,
  ...rangeVerdicts,
];
