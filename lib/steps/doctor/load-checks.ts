import {
  type DatabaseDoctor,
  type DoctorSettings,
  type Finding,
  type FindingCode,
  finding,
  type InspectedSettings,
  type LoadFacts,
  oneFinding,
  type Verdict,
} from "../../core/doctor.ts";
import { sweepIntervalMinutes, sweepSilenceMinutes, taskTimeoutSeconds } from "../../core/durations.ts";
import { checksOf, type PlannedCheck } from "./run-checks.ts";

/** Checks of the loads as the ledger knows them, and of the settings. */

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

const longestSilence = sweepSilenceMinutes * 60;

function checkSweep({ sweptSecondsAgo: ago, ageSeconds }: LoadFacts): Verdict {
  if (ago === null && ageSeconds < longestSilence) return { said: "not yet, the loader is new", findings: [] };
  if (ago !== null && ago <= longestSilence) return { said: `at work ${Math.round(ago)} s ago`, findings: [] };
  const got = ago === null ? "never" : `${Math.round(ago / 60)} minutes ago`;
  const fix = `check the rule that calls it every ${sweepIntervalMinutes} minutes, and the log of the function sweep`;
  const expected = `within ${sweepSilenceMinutes} minutes`;
  return oneFinding("SWEEP_SILENT", { where: "sweep", got, expected, fix });
}

function batches(code: FindingCode, found: LoadFacts["stalled"], expected: string): Finding[] {
  return found.map(({ batchId, reason }) =>
    finding(code, { where: `batch ${batchId}`, got: reason, expected, fix: `table-loader status ${batchId}` }),
  );
}

function checkLeftovers({ orphans }: LoadFacts): Verdict {
  if (orphans === 0) return { said: "none", findings: [] };
  const fix = "nothing, if the sweep runs: it drops 100 of them at a time";
  return oneFinding("STAGING_LEFT", { where: "table_loader_staging", got: `${orphans} plans`, expected: "none", fix });
}

function checkMissed({ missedEvents }: LoadFacts): Verdict {
  if (missedEvents === 0) return { said: "none", findings: [] };
  const got = `${missedEvents} batches in the last hour`;
  const fix = "check the EventBridge rule, the arrivals queue and the log of start-load";
  return oneFinding("EVENTS_MISSED", { where: "arrivals", got, expected: "none", fix });
}

export function settingsChecks({ settings, faults }: InspectedSettings): PlannedCheck[] {
  return [
    { area: "settings", name: "variables", run: () => checkVariables(faults) },
    { area: "settings", name: "lease", run: () => checkLease(settings) },
  ];
}

function checkVariables(faults: InspectedSettings["faults"]): Verdict {
  return {
    said: faults.length === 0 ? "all valid" : "",
    findings: faults.map(({ variable, expected }) =>
      finding("SETTING_INVALID", {
        where: variable,
        got: "something else, which is not shown",
        expected,
        fix: "correct it, see docs/reference/settings.md",
      }),
    ),
  };
}

/** Exempts a local environment: nothing is cut off after 15 minutes there, and tests need short leases. */
function checkLease({ leaseSeconds, localEndpoint }: DoctorSettings): Verdict {
  const said = `${leaseSeconds} s`;
  if (localEndpoint !== null || leaseSeconds > taskTimeoutSeconds) return { said, findings: [] };
  const expected = `more than ${taskTimeoutSeconds} s, which a task may take`;
  const fix = `set LEASE_SECONDS to more than ${taskTimeoutSeconds}, or leave it out`;
  return oneFinding("LEASE_SHORT", { where: "LEASE_SECONDS", got: said, expected, fix });
}

/** The reason to skip the checks that depend on these variables; null if all of them are valid. */
export function wrongVariable({ faults }: InspectedSettings, names: RegExp): string | null {
  const wrong = faults.filter(({ variable }) => names.test(variable)).map(({ variable }) => variable);
  return wrong.length === 0 ? null : `${wrong.join(", ")} above`;
}
