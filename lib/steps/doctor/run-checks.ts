import { type Check, type DoctorArea, type Finding, finding, outcomeOf, type Verdict } from "../../core/doctor.ts";
import { doctorCheckSeconds } from "../../core/durations.ts";
import { type Fault, TransientError, toLoaderError } from "../../core/errors.ts";

/** Runs checks one after the other. A check that fails stops the others only if it is a gate, which they depend on. */

export type PlannedCheck = {
  readonly name: string;
  readonly area: DoctorArea;
  readonly run: () => Promise<Verdict> | Verdict;
  /**
   * Turns the fault of a check that the others depend on into its finding; the others are skipped.
   * @default the fault is reported as NOT_CHECKED, since it says nothing of what the check looks at
   */
  readonly gate?: (fault: Fault) => Finding;
};

export type Runner = {
  /** Fails with TransientError NO_ANSWER if the work takes longer. */
  readonly within: <Answer>(seconds: number, work: Promise<Answer>) => Promise<Answer>;
  /** Seconds that are left for all checks. */
  readonly secondsLeft: () => number;
};

/**
 * @param stopped the reason why none of them can be run
 * @returns the checks, and the reason why others that depend on the same cannot be run
 */
export async function runChecks(
  runner: Runner,
  planned: readonly PlannedCheck[],
  stopped: string | null = null,
): Promise<{ readonly checks: readonly Check[]; readonly stopped: string | null }> {
  const checks: Check[] = [];
  let reason = stopped;
  for (const check of planned) {
    const { area, name } = check;
    if (reason !== null) {
      checks.push({ area, name, outcome: "skipped", said: `not checked: ${reason}`, findings: [] });
      continue;
    }
    const { verdict, fault } = await runCheck(runner, check);
    checks.push({ area, name, outcome: outcomeOf(verdict.findings), ...verdict });
    if (fault && check.gate) reason = `${fault.code} above`;
  }
  return { checks, stopped: reason };
}

async function runCheck(
  { within, secondsLeft }: Runner,
  check: PlannedCheck,
): Promise<{ readonly verdict: Verdict; readonly fault: Fault | null }> {
  try {
    const seconds = Math.min(doctorCheckSeconds, secondsLeft());
    if (seconds <= 0) throw new TransientError("NO_ANSWER", "no time was left for it; other checks took it all");
    // the promise also takes what a check throws at once
    return { verdict: await within(seconds, Promise.resolve().then(check.run)), fault: null };
  } catch (error) {
    const { fault } = toLoaderError(error);
    return { verdict: { said: "", findings: [check.gate?.(fault) ?? notChecked(check, fault)] }, fault };
  }
}

function notChecked({ name }: Pick<PlannedCheck, "name">, { code, message }: Fault): Finding {
  const fix = `see ${code} in docs/reference/errors.md`;
  return finding("NOT_CHECKED", { where: name, got: `${code}: ${message}`, expected: "an answer", fix });
}

/** Checks that look at the same facts; if these cannot be read, the first one says so and the others are skipped. */
export function checksOf<Facts>(
  area: DoctorArea,
  read: () => Promise<Facts>,
  looks: Readonly<Record<string, (facts: Facts) => Verdict>>,
): PlannedCheck[] {
  const facts = once(read);
  return Object.entries(looks).map(([name, look]) => ({
    area,
    name,
    run: async () => look(await facts()),
    gate: (fault) => notChecked({ name }, fault),
  }));
}

/** Does the work at the first call and gives every caller its answer, or its failure. */
export function once<Answer>(work: () => Promise<Answer>): () => Promise<Answer> {
  let answer: Promise<Answer> | null = null;
  return () => {
    answer ??= work();
    return answer;
  };
}

/** Remedies for faults of services that cannot be reached; docs/reference/errors.md has all errors. */
const fixes: Readonly<Record<string, string>> = {
  DB_UNAVAILABLE: "check that the server runs, DB_HOST and DB_PORT, and that its network lets the loader through",
  DB_CONNECTION_LOST: "check that the server runs and takes connections on this port",
  DB_STALLED: "check the network and the server's load",
  DB_AUTH: "check DB_USER, and its password, secret or IAM login",
  DB_MISSING: "check DB_NAME",
  DB_TLS: "check the host name and the certificate authority; DB_TLS=off only where nobody else listens",
  DB_PERMISSION: "grant connect on the database to the role",
  DB_TOO_MANY_CONNECTIONS: "see who holds them in pg_stat_activity",
  S3_BUCKET: "check S3_BUCKET and AWS_REGION",
  S3_ACCESS: "check the role, the bucket's policy, and its owner (S3_BUCKET_OWNER)",
  S3_MISSING: "check S3_BUCKET",
  AWS_ACCESS: "check the permissions of whoever asks, and that there are credentials",
  AWS_MISSING: "check the deployment, its settings, and AWS_REGION",
  AWS_UNAVAILABLE: "check the network: security groups and endpoints of the VPC, or the local environment",
  NOT_CONNECTED: "table-loader local, or name the deployed function with --function or OPERATE_FUNCTION",
  INPUT_INVALID: "deploy the functions again: these know no doctor yet",
  FUNCTION_FAILED: "read the log of the function operate",
  NO_ANSWER: "check the network: security groups, routes and endpoints of the VPC",
};

export function fixOf(code: string): string {
  return fixes[code] ?? `see ${code} in docs/reference/errors.md`;
}
