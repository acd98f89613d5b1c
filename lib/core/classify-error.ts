import { BlockedError, type LoaderError, PermanentError, TransientError } from "./errors.ts";

/**
 * Classes of errors: whether an SQLSTATE or AWS error passes, blocks or fails, and the code that people see. An entry
 * of two characters stands for the whole class of SQLSTATEs.
 */

type FaultKind = "transient" | "blocked" | "permanent";
type FaultRow = { readonly kind: FaultKind; readonly code: string; readonly text: string };

const row = (kind: FaultKind, code: string, text: string): FaultRow => ({ kind, code, text });

const unavailable = row("transient", "DB_UNAVAILABLE", "the database cannot be reached; it is tried again");
const lost = row("transient", "DB_CONNECTION_LOST", "the connection to the database was lost; the step starts again");
const conflict = row("transient", "DB_CONFLICT", "another transaction changed the same rows; the step starts again");
const auth = row("blocked", "DB_AUTH", "the database refuses the login; check user, password or secret");
const permission = row("blocked", "DB_PERMISSION", "the database role lacks a permission; grant it");
const disk = row("blocked", "DB_DISK_FULL", "the database has no room left; add storage");
const schema = row("blocked", "DB_SCHEMA", "the database lacks something the loader needs; run the migrations");
const gone = row("blocked", "DB_MISSING", "the database does not exist; check DB_NAME");
const serverFault = row("blocked", "DB_SERVER", "the server reports a fault of its own; read its log");
const damaged = row("blocked", "DB_DAMAGED", "the server found damaged data or a damaged index; read its log");
const limit = row("permanent", "DB_LIMIT", "a limit of the database was exceeded");

const sqlStates: Readonly<Record<string, FaultRow>> = {
  "08": lost,
  "57P01": lost,
  "57P02": lost,
  "57P03": unavailable,
  "25P03": lost,
  "57P05": lost,
  "57P04": gone,
  "53300": row("transient", "DB_TOO_MANY_CONNECTIONS", "the database has no free connection; it is tried again"),
  "53100": disk,
  "53400": disk,
  "53000": row("blocked", "DB_RESOURCES", "the server lacks something that it needs; read its log"),
  "53200": row("transient", "DB_OUT_OF_MEMORY", "the database is out of memory; it is tried again"),
  "40001": conflict,
  "40P01": conflict,
  // passes: every step reads from the ledger what took effect
  "40003": row("transient", "DB_CONFLICT", "whether the statement took effect is unknown; the step starts again"),
  "55P03": row("transient", "DB_LOCK_TIMEOUT", "a table or row stayed locked by another session"),
  "57014": row("transient", "DB_TIMEOUT", "a statement ran into the transaction's time limit"),
  "25P04": row("transient", "DB_TIMEOUT", "the transaction ran into its time limit"),
  "25006": row("transient", "DB_READ_ONLY", "the server is read-only, as during a failover"),
  "28": auth,
  "3D000": gone,
  "42501": permission,
  "42P01": schema,
  "3F000": schema,
  "54": limit,
  "22": row("permanent", "DB_VALUE", "the database refused a value that the checks let through"),
  "23": row("permanent", "DB_CONSTRAINT", "a constraint refused rows that the checks let through"),
  // class 58 is that of files and the system, such as 58030 (input or output failed)
  "58": serverFault,
  XX: serverFault,
  XX001: damaged,
  XX002: damaged,
  P0: row("permanent", "DB_TRIGGER", "a trigger of the table refused the rows"),
};

const socketErrors: Readonly<Record<string, FaultRow>> = {
  ECONNREFUSED: unavailable,
  ENOTFOUND: unavailable,
  EAI_AGAIN: unavailable,
  EHOSTUNREACH: unavailable,
  CONNECT_TIMEOUT: unavailable,
  ECONNRESET: lost,
  EPIPE: lost,
  ETIMEDOUT: lost,
  CONNECTION_CLOSED: lost,
  CONNECTION_ENDED: lost,
  CONNECTION_DESTROYED: lost,
};

const tlsError = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

const throttled = row("blocked", "S3_THROTTLED", "S3 keeps asking to slow down");
const access = row("blocked", "S3_ACCESS", "S3 denies access; check the role, the bucket's policy and its owner");
const storageClass = row("blocked", "S3_STORAGE_CLASS", "the object is in an archived storage class; restore it");
const elsewhere = row(
  "blocked",
  "S3_BUCKET",
  "the bucket lies in another region than the one that is asked; check AWS_REGION and S3_BUCKET",
);
const missing = row("permanent", "S3_MISSING", "the object version is gone");

const awsUnavailable = row(
  "transient",
  "AWS_UNAVAILABLE",
  "AWS cannot be reached or answered with an error of its own",
);
const awsThrottled = row("transient", "AWS_THROTTLED", "AWS asks to slow down");
const awsAccess = row("blocked", "AWS_ACCESS", "AWS denies access; check the role's permissions");
const awsSignIn = row("blocked", "AWS_ACCESS", "AWS does not take the credentials, or no longer; check or renew them");
const awsMissing = row("blocked", "AWS_MISSING", "it does not exist; check the deployment and its settings");

const changed = row("permanent", "S3_CHANGED", "the object was replaced since the batch was planned");

const awsErrors: Readonly<Record<string, FaultRow>> = {
  NoSuchKey: missing,
  NoSuchVersion: missing,
  NotFound: missing,
  // an execution that took the batch over has given up the copy in parts that was begun here
  NoSuchUpload: row("transient", "S3_UPLOAD_GONE", "the copy in parts was given up meanwhile; it is copied again"),
  PreconditionFailed: changed,
  NoSuchBucket: row("blocked", "S3_BUCKET", "the bucket does not exist; check S3_BUCKET"),
  PermanentRedirect: elsewhere,
  AuthorizationHeaderMalformed: elsewhere,
  InvalidObjectState: storageClass,
  AccessDenied: access,
  Forbidden: access,
  InvalidAccessKeyId: access,
  SignatureDoesNotMatch: access,
  ExpiredToken: access,
  CredentialsProviderError: access,
  SlowDown: throttled,
  RequestTimeout: awsUnavailable,
  OperationAborted: awsUnavailable,
  ConditionalRequestConflict: awsUnavailable,
  ThrottlingException: awsThrottled,
  TooManyRequestsException: awsThrottled,
  TooManyRequests: awsThrottled,
  RequestThrottled: awsThrottled,
  ExecutionLimitExceeded: awsThrottled,
  AccessDeniedException: awsAccess,
  ExpiredTokenException: awsSignIn,
  UnrecognizedClientException: awsSignIn,
  InvalidSignatureException: awsSignIn,
  StateMachineDoesNotExist: awsMissing,
  StateMachineDeleting: awsMissing,
  ExecutionDoesNotExist: awsMissing,
  QueueDoesNotExist: awsMissing,
};

/** Classes by HTTP status alone: an answer to HEAD has no body that could name the error. */
const statuses: Readonly<Record<number, FaultRow>> = {
  301: elsewhere,
  403: access,
  404: missing,
  412: changed,
  429: awsThrottled,
};

/** Class of an answer 400 without a name, as HEAD gets it if the key is disabled. */
const refused = row(
  "blocked",
  "AWS_REFUSED",
  "AWS refuses the request and does not say why; check the state and the policy of its KMS key, then the request itself",
);
const nameless: readonly string[] = ["", "Unknown", "UnknownError", "BadRequest"];

/** Class of S3's names for errors of the encryption key: KMS.DisabledException and the like. */
const keyFault = row("blocked", "S3_KMS", "the encryption key cannot be used; check its state and its policy");

/** The server has no field for the denied object; this message holds its name and nothing else. */
const deniedObject = /^(?:permission denied for|must be owner of) ([\w ]+ \S+)$/;

type Thrown = {
  code?: unknown;
  name?: unknown;
  message?: unknown;
  severity?: unknown;
  table_name?: unknown;
  constraint_name?: unknown;
  $metadata?: unknown;
};

/** The SQLSTATE of a thrown value; null if it has none. */
export function sqlStateOf(error: unknown): string | null {
  const code = (error as Thrown | null)?.code;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

/**
 * Classifies an error of the PostgreSQL driver; null for any other. Only names of tables and constraints are kept:
 * the server's own message and detail may hold values.
 */
export function classifyDatabaseError(error: unknown): LoaderError | null {
  const thrown = (error ?? {}) as Thrown;
  const code = typeof thrown.code === "string" ? thrown.code : "";
  if (tlsError.test(code)) {
    const tls = row("blocked", "DB_TLS", "the server's certificate or connection is not trusted");
    return toError(tls, { code }, error);
  }
  const fault = socketErrors[code] ?? sqlStates[code] ?? (sqlStateOf(error) ? sqlStates[code.slice(0, 2)] : undefined);
  if (!fault) return null;
  const { table_name: table, constraint_name: constraint } = thrown;
  const denied = code === "42501" ? deniedObject.exec(String(thrown.message))?.[1] : undefined;
  const names = [denied ?? (table && `table ${table}`), constraint && `constraint ${constraint}`]
    .filter(Boolean)
    .join(", ");
  const details = { sqlState: code, table, constraint, ...(names ? { subject: names } : {}) };
  return toError(fault, details, error);
}

/** True if the connection itself is gone, and not only the statement. */
export function isConnectionLost(error: unknown): boolean {
  const { code, severity } = (error ?? {}) as Thrown;
  // The server closes the connection a moment after a fatal error.
  if (severity === "FATAL" || severity === "PANIC") return true;
  if (typeof code !== "string") return false;
  return code in socketErrors || sqlStates[code] === lost || (sqlStateOf(error) !== null && code.startsWith("08"));
}

/** Classifies an error of an AWS client; null for any other. `subject` names key and version. */
export function classifyAwsError(error: unknown, subject: string): LoaderError | null {
  const thrown = (error ?? {}) as Thrown;
  const name = typeof thrown.name === "string" ? thrown.name : "";
  const status = (thrown.$metadata as { httpStatusCode?: number } | undefined)?.httpStatusCode;
  const code = typeof thrown.code === "string" ? thrown.code : "";
  const named = awsErrors[name] ?? (name.startsWith("KMS.") ? keyFault : undefined);
  const unnamed = status === 400 && nameless.includes(name) ? refused : undefined;
  const fault = named ?? statuses[status ?? 0] ?? unnamed;
  if (fault) return toError(fault, { subject, name, status }, error);
  const passing = (status !== undefined && status >= 500) || code in socketErrors || name === "TimeoutError";
  return passing ? toError(awsUnavailable, { subject, name, status }, error) : null;
}

function toError(fault: FaultRow, details: Record<string, unknown>, cause: unknown): LoaderError {
  const subject = typeof details.subject === "string" ? `${details.subject}: ${fault.text}` : fault.text;
  if (fault.kind === "transient") return new TransientError(fault.code, subject, { ...details, cause });
  if (fault.kind === "blocked") return new BlockedError(fault.code, subject, { ...details, cause });
  return new PermanentError(fault.code, subject, { ...details, cause });
}
