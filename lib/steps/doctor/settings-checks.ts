import { type DoctorSettings, finding, type InspectedSettings, type Verdict } from "../../core/doctor.ts";
import { taskTimeoutSeconds } from "../../core/machine.ts";
import type { PlannedCheck } from "./run-checks.ts";

export function settingsChecks({ settings, faults }: InspectedSettings): PlannedCheck[] {
  return [
    { area: "settings", name: "variables", run: () => checkVariables({ settings, faults }) },
    { area: "settings", name: "lease", run: () => checkLease(settings) },
  ];
}

function checkVariables({ faults }: InspectedSettings): Verdict {
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

/** On one machine nothing is cut off after 15 minutes, and tests do not want to wait for it. */
function checkLease({ leaseSeconds, localEndpoint }: DoctorSettings): Verdict {
  const said = `${leaseSeconds} s`;
  if (localEndpoint !== null || leaseSeconds > taskTimeoutSeconds) return { said, findings: [] };
  const expected = `more than ${taskTimeoutSeconds} s, which a task may take`;
  const fix = `set LEASE_SECONDS to more than ${taskTimeoutSeconds}, or leave it out`;
  return { said: "", findings: [finding("LEASE_SHORT", { where: "LEASE_SECONDS", got: said, expected, fix })] };
}

/** Why what depends on these variables cannot be checked; null where they are all right. */
export function wrongVariable({ faults }: InspectedSettings, names: RegExp): string | null {
  const wrong = faults.filter(({ variable }) => names.test(variable)).map(({ variable }) => variable);
  return wrong.length === 0 ? null : `${wrong.join(", ")} above`;
}
