import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Lab, openLab } from "../faults/lab/lab.ts";
import { batchKinds, faultKinds, planSoak, usualSize } from "./plan.ts";
import { runSoak } from "./run.ts";

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
  if (size.batches >= batchKinds.length) expect(figures.failed).toBeGreaterThan(0);
  expect(figures.loaded).toBeGreaterThan(0);
  const { faults } = figures;
  const ordered = (faults["worker killed before an effect"] ?? 0) + (faults["worker killed after an effect"] ?? 0);
  // somebody may have ended by himself just then
  expect(figures.kills).toBeGreaterThanOrEqual(Math.ceil(ordered / 2));
});

test("a soak has every kind of batch and of fault, whatever its seed", () => {
  for (const seed of [1, 2, 3]) {
    const plan = planSoak({ ...usualSize, seed });
    expect([plan.batches.length, plan.faults.length]).toEqual([usualSize.batches, usualSize.faults]);
    expect(new Set(plan.batches)).toEqual(new Set(batchKinds));
    expect(new Set(plan.faults.map(({ kind }) => kind))).toEqual(new Set(faultKinds));
  }
});
