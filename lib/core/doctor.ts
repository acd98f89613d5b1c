import type { Fault } from "./errors.ts";

/** `doctor`: its areas, its verdicts and findings, the facts that it reads, and the ports that read them. */

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
  /** One of docs/reference/doctor.md, or the code of an error. */
  readonly code: string;
  readonly severity: Severity;
  readonly what: string;
  /** The subject of the finding: a table, a parameter, a queue. */
  readonly where: string;
  readonly got: string;
  readonly expected: string;
  /** The remedy, as a statement or command if there is one. */
  readonly fix: string;
};

/** The result of one check: in a healthy environment a line of facts, and no finding. */
export type Verdict = { readonly said: string; readonly findings: readonly Finding[] };

export type CheckOutcome = "ok" | Severity | "skipped";

export type Check = Verdict & {
  readonly area: DoctorArea;
  readonly name: string;
  readonly outcome: CheckOutcome;
};

type QueueRole = "arrivals" | "dead letters" | "undelivered";

/** The URL is null if this environment has no such queue. */
export type QueueAddress = { readonly role: QueueRole; readonly url: string | null };

export type Diagnosis = {
  readonly checks: readonly Check[];
  /** The loader that answered, and its settings without secrets. */
  readonly loader: Readonly<Record<string, string | number | boolean | null>>;
  /** Queues that the CLI itself asks, since a function beside the database cannot reach SQS. */
  readonly queues: readonly QueueAddress[];
};

type Particulars = Pick<Finding, "where" | "got" | "expected" | "fix">;

export function finding(code: FindingCode, particulars: Particulars): Finding {
  return { code, ...findingKinds[code], ...particulars };
}

/** The verdict of a check that has one finding. */
export function oneFinding(code: FindingCode, particulars: Particulars): Verdict {
  return { said: "", findings: [finding(code, particulars)] };
}

/** Ends of messages that tell what a load does about a fault, which is no answer to what is wrong. */
const nextSteps = /; (it is tried again|the step starts again)$/;

/** A fault as a finding, under its own code. */
export function faultFinding({ code, message }: Fault, rest: Omit<Particulars, "got"> & { what: string }): Finding {
  return { code, severity: "error", got: message.replace(nextSteps, ""), ...rest };
}

export function outcomeOf(findings: readonly Finding[]): CheckOutcome {
  if (findings.some(({ severity }) => severity === "error")) return "error";
  return findings.length > 0 ? "warning" : "ok";
}

export type SettingFault = { readonly variable: string; readonly expected: string };

/** The settings as far as doctor looks at them. */
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

/** Settings as far as they are valid: one that is wrong has its default here, and stands among the faults. */
export type InspectedSettings = { readonly settings: DoctorSettings; readonly faults: readonly SettingFault[] };

export type ConnectionLimit = { readonly of: string; readonly limit: number; readonly used: number };

export type ServerFacts = {
  readonly version: string;
  readonly role: string;
  readonly encrypted: boolean;
  /** Set for a standby, and for a server or login that only reads by default. */
  readonly readOnly: "standby" | "default_transaction_read_only" | null;
  /** Limits of the server for logins without special rights, and those of database and role if they have any. */
  readonly connections: readonly ConnectionLimit[];
  /** Processes of the role that have been idle in a transaction for more than a minute. */
  readonly stuckSessions: readonly number[];
  /** Milliseconds by which the server's clock is ahead. */
  readonly clockAhead: number;
  /** Values of a new session of this login, in the server's own units; absent if the server has no such parameter. */
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

/** The rights that the role lacks on one object, named as in `grant`: `table public.blood`. */
export type MissingRight = { readonly object: string; readonly rights: readonly string[] };

export type RightsFacts = {
  readonly role: string;
  readonly missing: readonly MissingRight[];
  /** Reasons why the role may change structure: `superuser`, `owns table public.blood`. */
  readonly excessive: readonly string[];
};

export type UnindexedKey = { readonly table: string; readonly constraint: string; readonly columns: readonly string[] };

export type ContractFacts = {
  /** True if this very text was found valid before: then it is in force, even if the catalog has changed since. */
  readonly known: boolean;
  readonly lastGood: { readonly hash: string; readonly body: string; readonly validAt: string } | null;
  /** Tables with rows in the queue that are to be loaded. */
  readonly queuedTables: readonly string[];
};

export type ReasonedBatch = { readonly batchId: string; readonly reason: string };

export type LoadFacts = {
  /** Seconds since a sweep was at work; null if none ever was. */
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

/** Reads the database's facts. Each method is one transaction that only reads. */
export interface DatabaseDoctor {
  /** Opens the connection. */
  server(): Promise<ServerFacts>;
  control(): Promise<ControlFacts>;
  /** Rights on the control tables; a target tells those on its own tables. */
  rights(): Promise<RightsFacts>;
  /** @param text the contracts as they lie in the bucket; null if there are none */
  contracts(text: string | null): Promise<ContractFacts>;
  loads(): Promise<LoadFacts>;
}

export type LifecycleRule = {
  readonly id: string;
  readonly prefix: string;
  /** True if it deletes current objects. */
  readonly expires: boolean;
  /** True if it gives up unfinished copies in parts. */
  readonly abortsUploads: boolean;
};

/** Reads the bucket's settings and tries nothing: a probe would leave versions behind. */
export interface BucketDoctor {
  /** Throws if the bucket is missing, belongs to another account, or may not be listed. */
  list(): Promise<void>;
  versioning(): Promise<"enabled" | "suspended" | "off">;
  /** `aws:kms`, `AES256`; null if there is no rule. */
  encryption(): Promise<string | null>;
  sendsEvents(): Promise<boolean>;
  lifecycle(): Promise<readonly LifecycleRule[]>;
  /** Number of unfinished copies in parts that were begun before a time; at most a page of them is counted. */
  unfinished(before: Date): Promise<number>;
}

export interface MachineDoctor {
  /** `ACTIVE` or `DELETING`. */
  status(): Promise<string>;
  /** At most a page of them. */
  running(): Promise<readonly { readonly name: string; readonly startedAt: Date }[]>;
}

export interface QueueDoctor {
  /** Number of messages that wait, and of those that a consumer has taken. */
  measure(url: string): Promise<{ readonly waiting: number; readonly inFlight: number }>;
}

type Severity = "warning" | "error";
type FindingKind = { readonly severity: Severity; readonly what: string };

const error = (what: string): FindingKind => ({ severity: "error", what });
const warning = (what: string): FindingKind => ({ severity: "warning", what });

/**
 * Everything that `doctor` may find, with its severity and what is wrong; docs/reference/doctor.md says what to do. A
 * service that cannot be reached and a table that cannot be loaded have the code of their error instead
 * (docs/reference/errors.md).
 */
export const findingKinds = {
  // the command line
  CLI_REGION: error("the function lies in another region than the one that is asked"),
  LOADER_VERSIONS: warning("function and command line are of different versions"),
  // any check
  NOT_CHECKED: warning("this could not be checked"),
  // settings
  SETTING_INVALID: error("a variable of the environment is wrong"),
  SETTING_MISSING: error("a variable that this environment needs is not set"),
  LEASE_SHORT: error("a lease ends while its task may still be at work"),
  // database
  TLS_OFF: warning("logins and records cross the network in plain text"),
  SERVER_OLD: error("the server is older than the oldest version that is supported"),
  SERVER_READ_ONLY: error("the server takes no writes"),
  CONNECTIONS_SHORT: warning("the loader may ask for more connections than are meant for it"),
  CONNECTIONS_USED: warning("few connections are left"),
  CLOCK_SKEW: warning("database and loader disagree about the time"),
  LOG_VALUES: warning("the server may write values of records into its log"),
  TIMEOUT_SHORT: warning("the server ends the loader's statements early"),
  SESSION_STUCK: warning("a session of the loader's login holds a transaction and does nothing"),
  // control tables
  MIGRATION_PENDING: error("a migration has not run"),
  CONTROL_TABLE_MISSING: error("a table or view of the loader's own is missing"),
  CONTROL_COLUMN_MISSING: error("a control table lacks a column"),
  CONTROL_COLUMN_REQUIRED: error("a control table asks for a column that the loader does not write"),
  // permissions
  GRANT_MISSING: error("the role lacks permissions"),
  ROLE_DDL: warning("the role may do more than load"),
  // contracts and keys
  CONTRACT_MISSING: error("the table contracts are not in the bucket"),
  CONTRACT_FAULT: error("the table contracts are wrong"),
  CONTRACT_OUTDATED: warning("an earlier version of the contracts is in force"),
  CONTRACT_NONE: error("no valid contracts are known: every load is blocked"),
  TABLE_UNCOVERED: warning("a table is to be loaded and has no contract"),
  KEY_COLUMN_MISSING: error("a column of the natural key is not there"),
  KEY_UNGUARDED: warning("no unique index holds the natural key: every load locks the table"),
  FOREIGN_KEY_UNINDEXED: warning("no index supports a foreign key: deleting its parents reads the whole table"),
  // bucket
  VERSIONING_OFF: error("the bucket keeps no versions, and the loader counts on them"),
  VERSIONING_UNUSED: warning("fragments are told apart by ETag and size instead of by version"),
  OWNER_UNCHECKED: warning("nobody checks whose bucket it is"),
  ENCRYPTION_DEFAULT: warning("the bucket is not encrypted by a key of its own"),
  EVENTS_OFF: error("arrivals tell nobody: loads wait for the sweep"),
  LIFECYCLE_EXPIRES: error("the bucket deletes by itself what the loader keeps"),
  LIFECYCLE_UPLOADS: warning("copies in parts that nobody ends are kept, and paid, for ever"),
  UPLOADS_LEFT: warning("copies in parts were begun and never ended"),
  // machine and queues
  MACHINE_INACTIVE: error("the state machine takes no executions"),
  EXECUTION_LONG: warning("an execution runs for more than a day"),
  ARRIVALS_WAITING: warning("arrivals pile up in front of start-load"),
  DEAD_LETTERS: error("arrivals could not be used and wait for somebody to look at them"),
  EVENTS_UNDELIVERED: error("EventBridge could not deliver arrivals"),
  // loads
  EVENTS_MISSED: warning("the sweep had to find what events should have told"),
  SWEEP_SILENT: error("the sweep has not run for a while"),
  LOAD_STALLED: error("a load does not move"),
  LOAD_BLOCKED: error("a load waits for its environment"),
  BATCH_WAITING: warning("a batch waits for more than a day"),
  STAGING_LEFT: warning("staging tables or plans belong to no load"),
} as const satisfies Readonly<Record<string, FindingKind>>;

export type FindingCode = keyof typeof findingKinds;
