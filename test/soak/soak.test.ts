import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Lab, openLab } from "../faults/lab/lab.ts";
import { runSoak } from "./run.ts";
import { usualSize } from "./size.ts";

/** The size comes from the environment, where `soak.ts` puts its flags. */
const size = {
  seed: Number(process.env["SOAK_SEED"] ?? usualSize.seed),
  batches: Number(process.env["SOAK_BATCHES"] ?? usualSize.batches),
  faults: Number(process.env["SOAK_FAULTS"] ?? usualSize.faults),
};
const secondsPerFault = 30;

let lab: Lab;
beforeAll(async () => {
  // Leases and waits are shorter than deployed, so that hours become minutes; everything else is as it is.
  lab = await openLab({
    variables: { LEASE_SECONDS: "20", LOG_LEVEL: "ERROR" },
    pauses: { waitMilliseconds: 300, retryMilliseconds: 100 },
  });
});
afterAll(() => lab.close());

const timeout = size.faults * secondsPerFault * 1000;

test(`K16 soak with seed ${size.seed}: nothing lost, nothing twice, nothing stuck`, { timeout }, async () => {
  const figures = await runSoak(lab, size);
  const file = process.env["SOAK_FIGURES"];
  if (file) await writeFile(file, JSON.stringify(figures));
  console.log(JSON.stringify(figures, null, 2));
  const { broken, stuck, wrong } = figures;
  expect({ broken, stuck, wrong }).toEqual({ broken: {}, stuck: [], wrong: [] });
  expect(Object.values(figures.faults).reduce((sum, count) => sum + count, 0)).toBe(size.faults);
  expect(figures.loaded + figures.failed).toBe(figures.batches);
});
