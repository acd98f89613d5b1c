import { faultFinding, finding, type MachineDoctor, type Verdict } from "../../core/doctor.ts";
import type { PlannedCheck } from "./run-checks.ts";
import { fixOf } from "./unreachable.ts";

type MachinePorts = { readonly machine: MachineDoctor; readonly arn: string; readonly now: () => number };

/** Where the settings name a machine, and where they do not. */
export function machineChecks(ports: MachinePorts | null): PlannedCheck[] {
  if (ports === null) return [{ area: "machine", name: "state machine", run: missing }];
  const { machine, arn, now } = ports;
  return [
    {
      area: "machine",
      name: "state machine",
      run: async () => checkStatus(arn, await machine.status()),
      gate: (fault) => {
        const what = "the state machine cannot be used";
        return faultFinding(fault, { what, where: arn, expected: "a state machine", fix: fixOf(fault.code) });
      },
    },
    { area: "machine", name: "executions", run: () => checkRunning(machine, now()) },
  ];
}

function missing(): Verdict {
  const fix = "deploy the functions with their machine, or set STATE_MACHINE_ARN";
  const particulars = { where: "STATE_MACHINE_ARN", got: "unset", expected: "the ARN of the machine", fix };
  return { said: "", findings: [finding("SETTING_MISSING", particulars)] };
}

function checkStatus(arn: string, status: string): Verdict {
  if (status === "ACTIVE") return { said: arn, findings: [] };
  const particulars = { where: arn, got: status, expected: "ACTIVE", fix: "deploy again" };
  return { said: "", findings: [finding("MACHINE_INACTIVE", particulars)] };
}

const longestMilliseconds = 24 * 3600 * 1000;
const mostNamed = 5;

async function checkRunning(machine: MachineDoctor, now: number): Promise<Verdict> {
  const running = await machine.running();
  const findings = running
    .filter(({ startedAt }) => startedAt.getTime() < now - longestMilliseconds)
    .slice(0, mostNamed)
    .map(({ name, startedAt }) =>
      finding("EXECUTION_LONG", {
        where: `execution ${name}`,
        got: `running since ${startedAt.toISOString().slice(0, 19)}`,
        expected: "an end within a day",
        fix: "see its history for the state it stands in, and table-loader status of its batch",
      }),
    );
  return { said: `${running.length} running`, findings };
}
