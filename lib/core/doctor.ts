import type { Fault } from "./errors.ts";
import { type FindingCode, findingKinds, type Severity } from "./findings.ts";

/** `doctor`: what it looks at, what it says, and the ports that it needs. */

export const doctorAreas = [
  "cli",
  "settings",
  "database",
  "control tables",
  "contracts",
  "targets",
  "bucket",
  "machine",
  "queues",
  "loads",
] as const;

export type DoctorArea = (typeof doctorAreas)[number];

export type Finding = {
  /** Stands in docs/reference/doctor.md, or is that of an error. */
  readonly code: string;
  readonly severity: Severity;
  readonly what: string;
  /** The thing that it is about: a table, a parameter, a queue. */
  readonly where: string;
  readonly got: string;
  readonly expected: string;
  /** What to do, as a statement or command where there is one. */
  readonly fix: string;
};

/** What one check says: of a healthy environment a line of facts, and no finding. */
export type Verdict = { readonly said: string; readonly findings: readonly Finding[] };

export type CheckOutcome = "ok" | Severity | "skipped";

export type Check = Verdict & {
  readonly area: DoctorArea;
  readonly name: string;
  readonly outcome: CheckOutcome;
};

export type QueueRole = "arrivals" | "dead letters" | "undelivered";
/** Of a queue that this environment does not have, the URL is null. */
export type QueueAddress = { readonly role: QueueRole; readonly url: string | null };

export type Diagnosis = {
  readonly checks: readonly Check[];
  /** What answered, and the settings that it runs with; no secret among them. */
  readonly loader: Readonly<Record<string, string | number | boolean | null>>;
  /** Asked by the CLI itself: there is no way to SQS from beside the database. */
  readonly queues: readonly QueueAddress[];
};

type Particulars = Pick<Finding, "where" | "got" | "expected" | "fix">;

export function finding(code: FindingCode, particulars: Particulars): Finding {
  return { code, ...findingKinds[code], ...particulars };
}

/** What a load would do about a fault: nothing to tell somebody who asks what is wrong. */
const nextSteps = /; (it is tried again|the step starts again)$/;

/** What an error says, as a finding of its own code. */
export function faultFinding({ code, message }: Fault, rest: Omit<Particulars, "got"> & { what: string }): Finding {
  return { code, severity: "error", got: message.replace(nextSteps, ""), ...rest };
}

export function outcomeOf(findings: readonly Finding[]): CheckOutcome {
  if (findings.some(({ severity }) => severity === "error")) return "error";
  return findings.length > 0 ? "warning" : "ok";
}

export type SettingFault = { readonly variable: string; readonly expected: string };

/** What doctor wants to know of the settings. */
export type DoctorSettings = {
  readonly database: {
    readonly host: string;
    readonly port: number;
    readonly name: string;
    readonly user: string;
    readonly auth: string;
    readonly tls: "verify" | "off";
    readonly schema: string;
  };
  readonly region: string;
  readonly bucket: string;
  readonly bucketVersioning: boolean;
  readonly bucketOwner: string | null;
  readonly requireApproval: boolean;
  readonly maxWorkers: number;
  readonly maxLoads: number;
  readonly leaseSeconds: number;
  readonly stateMachineArn: string | null;
  readonly arrivalsQueueUrl: string | null;
  readonly deadLetterQueueUrl: string | null;
  readonly undeliveredQueueUrl: string | null;
  readonly functionVersion: string | null;
  readonly localEndpoint: string | null;
};

/** Settings as far as they can be read: what is wrong stands at its default, and among the faults. */
export type InspectedSettings = { readonly settings: DoctorSettings; readonly faults: readonly SettingFault[] };

export type ConnectionLimit = { readonly of: string; readonly limit: number; readonly used: number };

export type ServerFacts = {
  readonly version: string;
  readonly role: string;
  readonly encrypted: boolean;
  /** A standby, or a server or login that only reads by default. */
  readonly readOnly: "standby" | "default_transaction_read_only" | null;
  /** Of the server for logins without special rights, and of database and role where they have limits of their own. */
  readonly connections: readonly ConnectionLimit[];
  /** Processes of the role that have been idle in a transaction for more than a minute. */
  readonly stuckSessions: readonly number[];
  /** Milliseconds that the server's clock is ahead. */
  readonly clockAhead: number;
  /** As a new session of this login would have them, in the server's own units; absent where it has none such. */
  readonly parameters: Readonly<Record<string, string>>;
};

export type ControlFacts = {
  readonly pendingMigrations: readonly string[];
  readonly missingRelations: readonly string[];
  /** `public.validation_queue.approved_at` */
  readonly missingColumns: readonly string[];
  /** Columns of adopted tables that are not null, have no default, and are unknown to the loader. */
  readonly requiredColumns: readonly string[];
};

/** What the role lacks on one thing, as `grant` says it: `table public.blood`. */
export type MissingRight = { readonly object: string; readonly rights: readonly string[] };

export type RightsFacts = {
  readonly role: string;
  readonly missing: readonly MissingRight[];
  /** Why the role may change structure: `superuser`, `owns table public.blood`. */
  readonly excessive: readonly string[];
};

export type UnindexedKey = { readonly table: string; readonly constraint: string; readonly columns: readonly string[] };

export type ContractFacts = {
  /** True where this very text was found valid before: then it is in force, whatever the catalog says by now. */
  readonly known: boolean;
  readonly lastGood: { readonly hash: string; readonly body: string; readonly validAt: string } | null;
  /** Tables that the queue wants loaded. */
  readonly queuedTables: readonly string[];
};

export type ReasonedBatch = { readonly batchId: string; readonly reason: string };

export type LoadFacts = {
  /** Seconds since a sweep was at work; null where none ever was. */
  readonly sweptSecondsAgo: number | null;
  /** Seconds since the control tables were made. */
  readonly ageSeconds: number;
  readonly stalled: readonly ReasonedBatch[];
  readonly blocked: readonly ReasonedBatch[];
  readonly waiting: readonly ReasonedBatch[];
  readonly orphans: number;
  /** Batches whose events the sweep missed within the last hour. */
  readonly missedEvents: number;
};

/** The database, looked at and never changed. Each method is one transaction that only reads. */
export interface DatabaseDoctor {
  /** Opens the connection. */
  server(): Promise<ServerFacts>;
  control(): Promise<ControlFacts>;
  rights(tables: readonly string[]): Promise<RightsFacts>;
  unindexed(tables: readonly string[]): Promise<UnindexedKey[]>;
  /** @param text the contracts as they lie in the bucket; null where there are none */
  contracts(text: string | null): Promise<ContractFacts>;
  loads(): Promise<LoadFacts>;
}

export type LifecycleRule = {
  readonly id: string;
  readonly prefix: string;
  /** Deletes current objects. */
  readonly expires: boolean;
  /** Gives up copies in parts. */
  readonly abortsUploads: boolean;
};

/** The bucket's settings, read and never tried: a probe would leave versions behind. */
export interface BucketDoctor {
  /** Throws where the bucket is not there, belongs to somebody else, or may not be listed. */
  crashPoint(): Promise<void>;
  versioning(): Promise<"enabled" | "suspended" | "off">;
  /** `aws:kms`, `AES256`; null where there is no rule. */
  encryption(): Promise<string | null>;
  sendsEvents(): Promise<boolean>;
  lifecycle(): Promise<readonly LifecycleRule[]>;
  /** Copies in parts that were begun before a time; at most a page of them. */
  unfinished(before: Date): Promise<number>;
}

export type RunningExecution = { readonly name: string; readonly startedAt: Date };

export interface MachineDoctor {
  /** `ACTIVE` or `DELETING`. */
  status(): Promise<string>;
  /** At most a page of them. */
  running(): Promise<readonly RunningExecution[]>;
}

export interface QueueDoctor {
  /** Messages that wait, and messages that somebody has taken. */
  measure(url: string): Promise<{ readonly waiting: number; readonly inFlight: number }>;
}
