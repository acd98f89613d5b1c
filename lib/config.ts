import { BlockList, isIP } from "node:net";
import { z } from "zod";
import type { SettingFault } from "./core/doctor.ts";
import { auditRetentionDays, leaseSeconds, transactionTimeoutSeconds, undoRetentionDays } from "./core/durations.ts";
import { BlockedError } from "./core/errors.ts";
import { defaultBatchIdPattern } from "./core/keys.ts";

/** The only reader of the environment. Every setting is validated once, and all faults are named at once. */

type Environment = Readonly<Record<string, string | undefined>>;

type DatabaseSettings = {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly user: string;
  readonly auth: "password" | "secret" | "iam";
  readonly password: string | null;
  readonly secretArn: string | null;
  readonly tls: "verify" | "off";
  /** `system`: those that Node trusts; `bundled`: those beside the code; or the path of a PEM file. */
  readonly authorities: string;
  /** Role that migrate makes for the loader; null if the loader logs in as the same user as migrate. */
  readonly loaderRole: string | null;
  /** Secret with the login of that role; null if it has no password. */
  readonly loaderSecretArn: string | null;
  /** Schema of the target tables. */
  readonly schema: string;
  readonly poolMax: number;
};

export type Settings = {
  readonly database: DatabaseSettings;
  readonly region: string;
  readonly bucket: string;
  readonly bucketVersioning: boolean;
  readonly bucketOwner: string | null;
  /** Records per COPY chunk. */
  readonly batchSize: number;
  /** Default of the CLI; the functions ignore it. */
  readonly dryRun: boolean;
  readonly maxRetries: number;
  /** Seconds that the commit transaction may take. */
  readonly transactionTimeout: number;
  readonly logLevel: Variables["LOG_LEVEL"];
  readonly requireApproval: boolean;
  readonly maxRecordsPerBatch: number | null;
  /** Workers of all loads together. */
  readonly maxWorkers: number;
  /** Loads at the same time. */
  readonly maxLoads: number;
  readonly batchIdPattern: RegExp;
  readonly leaseSeconds: number;
  readonly undoRetentionDays: number;
  readonly auditRetentionDays: number;
  readonly stateMachineArn: string | null;
  readonly arrivalsQueueUrl: string | null;
  readonly deadLetterQueueUrl: string | null;
  readonly undeliveredQueueUrl: string | null;
  readonly operateFunction: string | null;
  /** Memory of the function; null outside Lambda. */
  readonly memoryBytes: number | null;
  /** Published version of the function; null outside Lambda. */
  readonly functionVersion: string | null;
  readonly onLambda: boolean;
  /** Loopback address of the stand-in for S3 and SQS; null on AWS. */
  readonly localEndpoint: string | null;
  /** Loopback address of the stand-in for Step Functions; null on AWS. */
  readonly localMachineEndpoint: string | null;
};

/** @throws BlockedError SETTINGS_INVALID that names every wrong variable and what it has to be, but shows no value */
export function parseSettings(env: Environment): Settings {
  const given = withoutEmpty(env);
  const faults = faultsOf(given).map(({ variable, expected }) => `${variable}: ${expected}`);
  if (faults.length === 0) return toSettings(variables.parse(given));
  throw new BlockedError("SETTINGS_INVALID", `${faults.join("; ")}; see the list of settings in the README`);
}

let overrides: Environment = {};
let current: Settings | null = null;

/** Puts variables above those of the process: the local environment so points the deployed handlers at itself. */
export function overrideEnvironment(env: Environment): void {
  overrides = { ...overrides, ...env };
  current = null;
}

/** The settings of this process, parsed at first use. */
export function settings(): Settings {
  current ??= parseSettings({ ...process.env, ...overrides });
  return current;
}

/** The settings of this process, with the default for each wrong variable, and the faults. */
export function inspectSettings(): { readonly settings: Settings; readonly faults: readonly SettingFault[] } {
  const given = withoutEmpty({ ...process.env, ...overrides });
  const faults = faultsOf(given);
  const wrong = new Set(
    faults.flatMap(({ variable }) => (variable === "DB_POOL_MIN" ? [variable, "DB_POOL_MAX"] : variable)),
  );
  const usable = Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name)));
  return { settings: toSettings(variables.parse(usable)), faults };
}

const withoutEmpty = (env: Environment): Environment =>
  Object.fromEntries(Object.entries(env).filter(([, text]) => text !== undefined && text !== ""));

function faultsOf(given: Environment): SettingFault[] {
  const parsed = variables.safeParse(given);
  if (!parsed.success) {
    return parsed.error.issues.map(({ path, message }) => ({ variable: path.join("."), expected: message }));
  }
  const { DB_POOL_MIN, DB_POOL_MAX } = parsed.data;
  if (DB_POOL_MIN <= DB_POOL_MAX) return [];
  return [{ variable: "DB_POOL_MIN", expected: `at most DB_POOL_MAX (${DB_POOL_MAX}), got ${DB_POOL_MIN}` }];
}

function toSettings(env: Variables): Settings {
  return {
    database: toDatabaseSettings(env),
    region: env.AWS_REGION,
    bucket: env.S3_BUCKET,
    bucketVersioning: env.S3_VERSIONING === "enabled",
    bucketOwner: env.S3_BUCKET_OWNER ?? null,
    batchSize: env.BATCH_SIZE,
    dryRun: env.DRY_RUN,
    maxRetries: env.MAX_RETRIES,
    transactionTimeout: env.TRANSACTION_TIMEOUT,
    logLevel: env.LOG_LEVEL,
    requireApproval: env.REQUIRE_APPROVAL,
    maxRecordsPerBatch: env.MAX_RECORDS_PER_BATCH ?? null,
    maxWorkers: env.MAX_WORKERS,
    maxLoads: env.MAX_LOADS,
    batchIdPattern: new RegExp(env.BATCH_ID_PATTERN),
    leaseSeconds: env.LEASE_SECONDS,
    undoRetentionDays: env.UNDO_RETENTION_DAYS,
    auditRetentionDays: env.AUDIT_RETENTION_DAYS,
    stateMachineArn: env.STATE_MACHINE_ARN ?? null,
    arrivalsQueueUrl: env.ARRIVALS_QUEUE_URL ?? null,
    deadLetterQueueUrl: env.DEAD_LETTER_QUEUE_URL ?? null,
    undeliveredQueueUrl: env.UNDELIVERED_QUEUE_URL ?? null,
    operateFunction: env.OPERATE_FUNCTION ?? null,
    memoryBytes: mebibytes(env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE),
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION ?? null,
    onLambda: env.AWS_EXECUTION_ENV?.startsWith("AWS_Lambda_") ?? false,
    localEndpoint: env.LOCAL_ENDPOINT ?? null,
    localMachineEndpoint: env.LOCAL_MACHINE_ENDPOINT ?? null,
  };
}

function toDatabaseSettings(env: Variables): DatabaseSettings {
  return {
    host: env.DB_HOST,
    port: env.DB_PORT,
    name: env.DB_NAME,
    user: env.DB_USER,
    auth: env.DB_AUTH ?? (env.DB_SECRET_ARN ? "secret" : "password"),
    password: env.DB_PASSWORD ?? null,
    secretArn: env.DB_SECRET_ARN ?? null,
    tls: env.DB_TLS,
    authorities: env.DB_CA,
    loaderRole: env.DB_LOADER_ROLE ?? null,
    loaderSecretArn: env.DB_LOADER_SECRET_ARN ?? null,
    schema: env.DB_SCHEMA,
    poolMax: env.DB_POOL_MAX,
  };
}

const mebibytes = (count: number | undefined): number | null => (count === undefined ? null : count * 1024 ** 2);

const whole = (least: number) =>
  z.string().regex(/^\d+$/, "a whole number").transform(Number).pipe(z.number().int().min(least));
const flag = z.enum(["true", "false"]).transform((text) => text === "true");

/** Loopback only: a stand-in for AWS at another address would receive credentials and records. */
const loopbackUrl = z
  .string()
  .regex(/^http:\/\/(127\.0\.0\.1|localhost|\[::1\]):\d+\/?$/, "a loopback address with a port");

/** AWS or loopback only: the SDK sends its requests to the host of the queue's URL. */
const queueUrl = z
  .string()
  .regex(
    /^(https:\/\/([a-z0-9-]+\.)+amazonaws\.(com|com\.cn|eu)|https?:\/\/(127\.0\.0\.1|localhost|\[::1\]):\d+)\/[\w/.-]+$/,
    "the URL of a queue of AWS",
  );

/** Link-local addresses serve a machine's metadata and credentials, never a database. */
const linkLocal = new BlockList();
linkLocal.addSubnet("169.254.0.0", 16, "ipv4");
linkLocal.addSubnet("fe80::", 10, "ipv6");
// AWS serves the same over IPv6.
linkLocal.addSubnet("fd00:ec2::", 32, "ipv6");

const metadataNames: readonly string[] = [
  "metadata",
  "metadata.google.internal",
  "instance-data",
  "instance-data.ec2.internal",
];

function isDatabaseHost(host: string): boolean {
  const version = isIP(host);
  if (version !== 0) return !linkLocal.check(host, version === 6 ? "ipv6" : "ipv4");
  return !isNumeric(host) && !metadataNames.includes(host.toLowerCase().replace(/\.$/, ""));
}

/** True for spellings of an address that resolvers accept: 2852039166, 0xa9fea9fe, 0251.0376.0251.0376. */
function isNumeric(host: string): boolean {
  return host.includes(":") || /^(?:0x[0-9a-f]*|[0-9]+)$/i.test(host.replace(/\.$/, "").split(".").at(-1) ?? "");
}

/** Neither a URL nor a DSN: error messages show it, and would show a password in it. */
const hostName = z
  .string()
  .regex(/^[\w.:-]+$/, "a host name or an address, without scheme, user and port")
  .refine(isDatabaseHost, "the host of a database, and no address of a machine's metadata");

const isPattern = (text: string): boolean => {
  try {
    return new RegExp(text) !== null;
  } catch {
    return false;
  }
};

const variables = z.object({
  DB_HOST: hostName.default("idhub_db"),
  DB_PORT: whole(1).default(5432),
  DB_NAME: z.string().default("idhub"),
  DB_USER: z.string().default("idhub_user"),
  DB_PASSWORD: z.string().optional(),
  DB_SECRET_ARN: z.string().optional(),
  DB_AUTH: z.enum(["password", "secret", "iam"]).optional(),
  DB_TLS: z.enum(["verify", "off"]).default("verify"),
  DB_CA: z.string().min(1).default("system"),
  DB_LOADER_ROLE: z.string().min(1).optional(),
  DB_LOADER_SECRET_ARN: z.string().optional(),
  DB_SCHEMA: z.string().default("public"),
  DB_POOL_MIN: whole(0).default(2),
  DB_POOL_MAX: whole(1).default(10),
  S3_BUCKET: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{2,62}$/, "the name of a bucket")
    .default("idhub-curated-fragments"),
  S3_VERSIONING: z.enum(["enabled", "disabled"]).default("enabled"),
  S3_BUCKET_OWNER: z
    .string()
    .regex(/^\d{12}$/, "a 12-digit account id")
    .optional(),
  AWS_REGION: z
    .string()
    .regex(/^[a-z0-9-]+$/, "the name of a region")
    .default("us-east-1"),
  BATCH_SIZE: whole(1).default(1000),
  DRY_RUN: flag.default(false),
  MAX_RETRIES: whole(0).default(3),
  TRANSACTION_TIMEOUT: whole(1).default(transactionTimeoutSeconds),
  LOG_LEVEL: z.enum(["DEBUG", "INFO", "WARN", "ERROR", "CRITICAL", "SILENT"]).default("INFO"),
  REQUIRE_APPROVAL: flag.default(true),
  MAX_RECORDS_PER_BATCH: whole(1).optional(),
  MAX_WORKERS: whole(1).default(20),
  MAX_LOADS: whole(1).default(5),
  BATCH_ID_PATTERN: z.string().refine(isPattern, "a regular expression").default(defaultBatchIdPattern),
  LEASE_SECONDS: whole(5).default(leaseSeconds),
  UNDO_RETENTION_DAYS: whole(1).default(undoRetentionDays),
  AUDIT_RETENTION_DAYS: whole(1).default(auditRetentionDays),
  STATE_MACHINE_ARN: z.string().optional(),
  ARRIVALS_QUEUE_URL: queueUrl.optional(),
  DEAD_LETTER_QUEUE_URL: queueUrl.optional(),
  UNDELIVERED_QUEUE_URL: queueUrl.optional(),
  OPERATE_FUNCTION: z.string().optional(),
  AWS_LAMBDA_FUNCTION_MEMORY_SIZE: whole(1).optional(),
  AWS_LAMBDA_FUNCTION_VERSION: z.string().optional(),
  AWS_EXECUTION_ENV: z.string().optional(),
  LOCAL_ENDPOINT: loopbackUrl.optional(),
  LOCAL_MACHINE_ENDPOINT: loopbackUrl.optional(),
});

type Variables = z.infer<typeof variables>;
