/**
 * What `doctor` may find, each with how bad it is and what is wrong. docs/reference/doctor.md says of every one what to
 * do. What cannot be reached at all, or could not be loaded, has the code of its error instead (docs/reference/errors.md).
 */

export type Severity = "warning" | "error";
export type FindingKind = { readonly severity: Severity; readonly what: string };

const error = (what: string): FindingKind => ({ severity: "error", what });
const warning = (what: string): FindingKind => ({ severity: "warning", what });

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
