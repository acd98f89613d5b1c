import {
  type BucketDoctor,
  type DoctorSettings,
  type Finding,
  faultFinding,
  finding,
  type LifecycleRule,
  type MachineDoctor,
  oneFinding,
  type QueueAddress,
  type QueueDoctor,
  type Verdict,
} from "../../core/doctor.ts";
import { longExecutionHours, unfinishedUploadDays } from "../../core/durations.ts";
import { failedPrefix, loadedPrefix, stagingPrefix } from "../../core/keys.ts";
import { fixOf, type PlannedCheck } from "./run-checks.ts";

/** Checks of the bucket, the state machine and the queues. */

type BucketPorts = { readonly bucket: BucketDoctor; readonly settings: DoctorSettings; readonly now: () => number };

const unfinishedUploadMilliseconds = unfinishedUploadDays * 24 * 3600 * 1000;

export function bucketChecks({ bucket, settings, now }: BucketPorts): PlannedCheck[] {
  const reachable: PlannedCheck = {
    area: "bucket",
    name: "bucket",
    run: async () => {
      await bucket.list();
      return { said: `s3://${settings.bucket} can be listed`, findings: [] };
    },
    gate: (fault) => {
      const where = `s3://${settings.bucket}`;
      const what = "the bucket cannot be used";
      return faultFinding(fault, { what, where, expected: "a bucket to list", fix: fixOf(fault.code) });
    },
  };
  const check = (name: string, run: () => Promise<Verdict> | Verdict): PlannedCheck => ({ area: "bucket", name, run });
  const uploads = check("unfinished copies", async () =>
    checkUploads(await bucket.unfinished(new Date(now() - unfinishedUploadMilliseconds))),
  );
  const lifecycle = check("lifecycle", async () => checkLifecycle(await bucket.lifecycle(), settings));
  // the S3 of a local environment has no other settings
  if (settings.localEndpoint !== null) return [reachable, lifecycle];
  return [
    reachable,
    check("versions", async () => checkVersioning(await bucket.versioning(), settings)),
    check("owner", () => checkOwner(settings)),
    check("encryption", async () => checkEncryption(await bucket.encryption())),
    check("events", async () => checkEvents(await bucket.sendsEvents())),
    lifecycle,
    uploads,
  ];
}

function checkVersioning(found: string, { bucket, bucketVersioning }: DoctorSettings): Verdict {
  const rest = { where: `s3://${bucket}`, got: `versioning ${found}` };
  const enable = "enable versioning on the bucket";
  if (bucketVersioning && found !== "enabled") {
    const expected = "versioning enabled, as S3_VERSIONING says";
    return oneFinding("VERSIONING_OFF", { ...rest, expected, fix: enable });
  }
  if (bucketVersioning) return { said: "kept, and used", findings: [] };
  const fix = `${found === "enabled" ? "" : `${enable}, then `}set S3_VERSIONING to enabled`;
  const expected = "a bucket with versions, and S3_VERSIONING enabled";
  return oneFinding("VERSIONING_UNUSED", { ...rest, expected, fix });
}

function checkOwner({ bucketOwner }: DoctorSettings): Verdict {
  if (bucketOwner !== null) return { said: `account ${bucketOwner}, as expected`, findings: [] };
  const fix = "set S3_BUCKET_OWNER to the account that owns the bucket";
  const particulars = { where: "S3_BUCKET_OWNER", got: "unset", expected: "a 12-digit account id", fix };
  return oneFinding("OWNER_UNCHECKED", particulars);
}

function checkEncryption(found: string | null): Verdict {
  if (found?.startsWith("aws:kms")) return { said: found, findings: [] };
  const fix = "set the stack's key as the bucket's default encryption (SSE-KMS), or deploy again";
  const particulars = { where: "default encryption", got: found ?? "none", expected: "aws:kms", fix };
  return oneFinding("ENCRYPTION_DEFAULT", particulars);
}

function checkEvents(sends: boolean): Verdict {
  if (sends) return { said: "EventBridge is told", findings: [] };
  const fix = "turn on EventBridge in the bucket's event notifications, or deploy again";
  const particulars = { where: "event notifications", got: "no EventBridge", expected: "EventBridge", fix };
  return oneFinding("EVENTS_OFF", particulars);
}

const kept = [loadedPrefix, failedPrefix, stagingPrefix];

function checkLifecycle(rules: readonly LifecycleRule[], { localEndpoint }: DoctorSettings): Verdict {
  const findings: Finding[] = rules
    .filter(({ expires, prefix }) => expires && kept.some((own) => own.startsWith(prefix) || prefix.startsWith(own)))
    .map(({ id, prefix }) =>
      finding("LIFECYCLE_EXPIRES", {
        where: `lifecycle rule ${id || "without a name"}`,
        got: `it deletes objects below "${prefix}"`,
        expected: `no deletion in ${kept.join(", ")}`,
        fix: "take the rule away, or narrow its prefix",
      }),
    );
  if (localEndpoint === null && !rules.some(({ abortsUploads }) => abortsUploads)) {
    const fix = "add a rule that aborts incomplete multipart uploads after a day, or deploy again";
    const particulars = { where: "lifecycle", got: "no such rule", expected: "unfinished copies given up", fix };
    findings.push(finding("LIFECYCLE_UPLOADS", particulars));
  }
  return { said: `${rules.length} rules, none of which deletes what is kept`, findings };
}

function checkUploads(count: number): Verdict {
  if (count === 0) return { said: "none is older than a day", findings: [] };
  const fix = "nothing, if the sweep runs: it gives up those below loaded/ and failed/; others belong to the uploader";
  const particulars = { where: "copies in parts", got: `${count} older than a day`, expected: "none", fix };
  return oneFinding("UPLOADS_LEFT", particulars);
}

type MachinePorts = { readonly machine: MachineDoctor; readonly arn: string; readonly now: () => number };

/** Checks of the machine; `ports` is null if the settings name none. */
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
  return oneFinding("SETTING_MISSING", particulars);
}

function checkStatus(arn: string, status: string): Verdict {
  if (status === "ACTIVE") return { said: arn, findings: [] };
  return oneFinding("MACHINE_INACTIVE", { where: arn, got: status, expected: "ACTIVE", fix: "deploy again" });
}

const longestMilliseconds = longExecutionHours * 3600 * 1000;
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

/** Checks of the queues of arrivals. The CLI runs them, since a function beside the database cannot reach SQS. */
export function queueChecks(queues: QueueDoctor, addresses: readonly QueueAddress[]): PlannedCheck[] {
  return addresses.flatMap(({ role, url }): PlannedCheck[] => {
    if (url === null) return [];
    return [{ area: "queues", name: role, run: () => checkQueue(queues, role, url) }];
  });
}

/** A missing queue is a finding; any other error, such as a missing permission, says nothing about the queue. */
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

/** Messages that start-load takes in a few calls; of more, some are still there after a minute. */
const mostWaiting = 500;

const judges: Readonly<Record<QueueAddress["role"], Judge>> = {
  arrivals: (url, { waiting, inFlight }) => {
    const said = `${waiting} waiting, ${inFlight} in flight`;
    if (waiting <= mostWaiting) return { said, findings: [] };
    const fix = "see the log of start-load; it takes 5 times 100 of them at a time";
    const expected = `at most ${mostWaiting}`;
    return oneFinding("ARRIVALS_WAITING", { where: url, got: said, expected, fix });
  },
  "dead letters": (url, { waiting, inFlight }) => {
    if (waiting + inFlight === 0) return { said: "none", findings: [] };
    const fix = "look at their attribute code, mend the cause, redrive or delete them; see docs/runbook.md";
    return oneFinding("DEAD_LETTERS", { where: url, got: `${waiting + inFlight} messages`, expected: "none", fix });
  },
  undelivered: (url, { waiting, inFlight }) => {
    if (waiting + inFlight === 0) return { said: "none", findings: [] };
    const fix =
      "see their attribute ERROR_CODE, mend rule or queue policy, delete them; the sweep starts what was missed";
    const particulars = { where: url, got: `${waiting + inFlight} messages`, expected: "none", fix };
    return oneFinding("EVENTS_UNDELIVERED", particulars);
  },
};
