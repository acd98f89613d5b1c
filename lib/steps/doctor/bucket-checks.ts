import {
  type BucketDoctor,
  type DoctorSettings,
  type Finding,
  faultFinding,
  finding,
  type LifecycleRule,
  type Verdict,
} from "../../core/doctor.ts";
import { failedPrefix, loadedPrefix, stagingPrefix } from "../../core/keys.ts";
import type { PlannedCheck } from "./run-checks.ts";
import { fixOf } from "./unreachable.ts";

type BucketPorts = { readonly bucket: BucketDoctor; readonly settings: DoctorSettings; readonly now: () => number };

const dayMilliseconds = 24 * 3600 * 1000;

export function bucketChecks({ bucket, settings, now }: BucketPorts): PlannedCheck[] {
  const crashPoint: PlannedCheck = {
    area: "bucket",
    name: "bucket",
    run: async () => {
      await bucket.crashPoint();
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
    checkUploads(await bucket.unfinished(new Date(now() - dayMilliseconds))),
  );
  const lifecycle = check("lifecycle", async () => checkLifecycle(await bucket.lifecycle(), settings));
  // the stand-in on a developer's machine has no such settings
  if (settings.localEndpoint !== null) return [crashPoint, lifecycle];
  return [
    crashPoint,
    check("versions", async () => checkVersioning(await bucket.versioning(), settings)),
    check("owner", () => checkOwner(settings)),
    check("encryption", async () => checkEncryption(await bucket.encryption())),
    check("events", async () => checkEvents(await bucket.sendsEvents())),
    lifecycle,
    uploads,
  ];
}

function checkVersioning(found: string, { bucket, bucketVersioning }: DoctorSettings): Verdict {
  const said = bucketVersioning ? "kept, and used" : "not kept, and not used";
  const rest = { where: `s3://${bucket}`, got: `versioning ${found}` };
  const enable = "enable versioning on the bucket";
  if (bucketVersioning && found !== "enabled") {
    const expected = "versioning enabled, as S3_VERSIONING says";
    return { said: "", findings: [finding("VERSIONING_OFF", { ...rest, expected, fix: enable })] };
  }
  if (bucketVersioning) return { said, findings: [] };
  const fix = `${found === "enabled" ? "" : `${enable}, then `}set S3_VERSIONING to enabled`;
  const expected = "a bucket with versions, and S3_VERSIONING enabled";
  return { said: "", findings: [finding("VERSIONING_UNUSED", { ...rest, expected, fix })] };
}

function checkOwner({ bucketOwner }: DoctorSettings): Verdict {
  if (bucketOwner !== null) return { said: `account ${bucketOwner}, as expected`, findings: [] };
  const fix = "set S3_BUCKET_OWNER to the account that owns the bucket";
  const particulars = { where: "S3_BUCKET_OWNER", got: "unset", expected: "a 12-digit account id", fix };
  return { said: "", findings: [finding("OWNER_UNCHECKED", particulars)] };
}

function checkEncryption(found: string | null): Verdict {
  if (found?.startsWith("aws:kms")) return { said: found, findings: [] };
  const fix = "set the stack's key as the bucket's default encryption (SSE-KMS), or deploy again";
  const particulars = { where: "default encryption", got: found ?? "none", expected: "aws:kms", fix };
  return { said: "", findings: [finding("ENCRYPTION_DEFAULT", particulars)] };
}

function checkEvents(sends: boolean): Verdict {
  if (sends) return { said: "EventBridge is told", findings: [] };
  const fix = "turn on EventBridge in the bucket's event notifications, or deploy again";
  const particulars = { where: "event notifications", got: "no EventBridge", expected: "EventBridge", fix };
  return { said: "", findings: [finding("EVENTS_OFF", particulars)] };
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
  return { said: "", findings: [finding("UPLOADS_LEFT", particulars)] };
}
