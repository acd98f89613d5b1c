import { faultFinding, finding, type QueueAddress, type QueueDoctor, type Verdict } from "../../core/doctor.ts";
import type { PlannedCheck } from "./run-checks.ts";

/** The intake's queues, looked at by the CLI: from beside the database there is no way to SQS. */
export function queueChecks(queues: QueueDoctor, addresses: readonly QueueAddress[]): PlannedCheck[] {
  return addresses.flatMap(({ role, url }): PlannedCheck[] => {
    if (url === null) return [];
    return [{ area: "queues", name: role, run: () => checkQueue(queues, role, url) }];
  });
}

/** A queue that is not there is a finding; that somebody may not look at it says nothing about it. */
async function checkQueue(queues: QueueDoctor, role: QueueAddress["role"], url: string): Promise<Verdict> {
  const found = await queues.measure(url).catch((error: { code?: unknown; message?: string }) => {
    if (error.code === "AWS_MISSING") return null;
    throw error;
  });
  if (found !== null) return judges[role](url, found);
  const fault = { code: "AWS_MISSING", message: `queue ${url} does not exist` };
  const fix = "deploy again; check AWS_REGION and the account that asks";
  const what = "a queue is not there";
  return { said: "", findings: [faultFinding(fault, { what, where: role, expected: "a queue", fix })] };
}

type Judge = (url: string, found: { readonly waiting: number; readonly inFlight: number }) => Verdict;

/** What start-load takes in a few calls; more than that is still there after a minute. */
const mostWaiting = 500;

const judges: Readonly<Record<QueueAddress["role"], Judge>> = {
  arrivals: (url, { waiting, inFlight }) => {
    const said = `${waiting} waiting, ${inFlight} in flight`;
    if (waiting <= mostWaiting) return { said, findings: [] };
    const fix = "see the log of start-load; it takes 5 times 100 of them at a time";
    const expected = `at most ${mostWaiting}`;
    return { said: "", findings: [finding("ARRIVALS_WAITING", { where: url, got: said, expected, fix })] };
  },
  "dead letters": (url, { waiting, inFlight }) => {
    if (waiting + inFlight === 0) return { said: "none", findings: [] };
    const fix = "look at their attribute code, mend the cause, redrive or delete them; see docs/runbook.md";
    const particulars = { where: url, got: `${waiting + inFlight} messages`, expected: "none", fix };
    return { said: "", findings: [finding("DEAD_LETTERS", particulars)] };
  },
  undelivered: (url, { waiting, inFlight }) => {
    if (waiting + inFlight === 0) return { said: "none", findings: [] };
    const fix =
      "see their attribute ERROR_CODE, mend rule or queue policy, delete them; the sweep starts what was missed";
    const particulars = { where: url, got: `${waiting + inFlight} messages`, expected: "none", fix };
    return { said: "", findings: [finding("EVENTS_UNDELIVERED", particulars)] };
  },
};
