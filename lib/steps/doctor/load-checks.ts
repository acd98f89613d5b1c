import { type DatabaseDoctor, type Finding, finding, type LoadFacts, type Verdict } from "../../core/doctor.ts";
import type { FindingCode } from "../../core/findings.ts";
import { checksOf, type PlannedCheck } from "./run-checks.ts";

export function loadChecks(database: DatabaseDoctor): PlannedCheck[] {
  const none = "none";
  return checksOf("loads", () => database.loads(), {
    sweep: checkSweep,
    stalled: ({ stalled }) => ({ said: none, findings: batches("LOAD_STALLED", stalled, "a load that moves") }),
    blocked: ({ blocked }) => ({ said: none, findings: batches("LOAD_BLOCKED", blocked, "no such fault") }),
    waiting: ({ waiting }) => ({ said: none, findings: batches("BATCH_WAITING", waiting, "loaded within a day") }),
    leftovers: checkLeftovers,
    "missed events": checkMissed,
  });
}

/** Two of them may fail. */
const longestSilence = 600;

export function checkSweep({ sweptSecondsAgo: ago, ageSeconds }: LoadFacts): Verdict {
  if (ago === null && ageSeconds < longestSilence) return { said: "not yet, the loader is new", findings: [] };
  if (ago !== null && ago <= longestSilence) return { said: `at work ${Math.round(ago)} s ago`, findings: [] };
  const got = ago === null ? "never" : `${Math.round(ago / 60)} minutes ago`;
  const fix = "check the rule that calls it every 5 minutes, and the log of the function sweep";
  const expected = `within ${longestSilence / 60} minutes`;
  return { said: "", findings: [finding("SWEEP_SILENT", { where: "sweep", got, expected, fix })] };
}

function batches(code: FindingCode, found: LoadFacts["stalled"], expected: string): Finding[] {
  return found.map(({ batchId, reason }) =>
    finding(code, { where: `batch ${batchId}`, got: reason, expected, fix: `table-loader status ${batchId}` }),
  );
}

function checkLeftovers({ orphans }: LoadFacts): Verdict {
  if (orphans === 0) return { said: "none", findings: [] };
  const fix = "nothing, if the sweep runs: it drops 100 of them at a time";
  const where = "table_loader_staging";
  return { said: "", findings: [finding("STAGING_LEFT", { where, got: `${orphans} plans`, expected: "none", fix })] };
}

function checkMissed({ missedEvents }: LoadFacts): Verdict {
  if (missedEvents === 0) return { said: "none", findings: [] };
  const got = `${missedEvents} batches in the last hour`;
  const fix = "check the EventBridge rule, the arrivals queue and the log of start-load";
  return { said: "", findings: [finding("EVENTS_MISSED", { where: "arrivals", got, expected: "none", fix })] };
}
