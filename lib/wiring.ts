import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { openBucketDoctor, openMachineDoctor, openQueueDoctor } from "./aws/aws-facts.ts";
import type { BucketLimits } from "./aws/bucket-access.ts";
import { openDeadLetters } from "./aws/dead-letters.ts";
import { openExecutions } from "./aws/executions.ts";
import { emitMeasures, setMetricsEnabled } from "./aws/measures.ts";
import { openObjectStore } from "./aws/object-store.ts";
import { type OpenOperate, openOperateClient } from "./aws/operate-client.ts";
import { readDatabaseSecret, signDatabaseToken } from "./aws/secrets.ts";
import { openLog, setLogLevel } from "./aws/telemetry.ts";
import { traceWhere } from "./aws/tracing.ts";
import { inspectSettings, type Settings, settings } from "./config.ts";
import type { QueueDoctor } from "./core/doctor.ts";
import { doctorAnswerSeconds } from "./core/durations.ts";
import { BlockedError, TransientError } from "./core/errors.ts";
import type { CrashPoint, CrashPointHook } from "./core/ports.ts";
import { openAttempts } from "./ledger/attempts.ts";
import { openBatchRecords, openHeldBatches } from "./ledger/batches.ts";
import { openClaims } from "./ledger/claims.ts";
import { openCommits } from "./ledger/commits.ts";
import { openContractStore } from "./ledger/contracts.ts";
import { doctorLockMilliseconds, openDatabaseDoctor } from "./ledger/doctor-facts.ts";
import { grantLoader } from "./ledger/loader-role.ts";
import { explainingFault, migrate } from "./ledger/migrate.ts";
import { openOperations } from "./ledger/operator-queries.ts";
import { openPlans } from "./ledger/plans.ts";
import { openLeftovers, openSweeps, openUncommittedObjects } from "./ledger/sweeps.ts";
import { openTurns } from "./ledger/turns.ts";
import { openSlices, openWorkItems } from "./ledger/work-items.ts";
import { readAuthorities } from "./postgres/client.ts";
import { type ConnectionLimits, closeSql, type Login, openSql } from "./postgres/connection.ts";
import { readFragment } from "./readers/read-fragment.ts";
import { openPostgresTarget } from "./targets/postgres/postgres-target.ts";

/** The only place where adapters meet ports. */

type Sql = ReturnType<typeof openSql>;

// Asked at the first invocation of a handler. Wrong settings count as no here: the port that opens reports them.
traceWhere(() => {
  try {
    return settings().onLambda;
  } catch {
    return false;
  }
});

let reachPoint: CrashPointHook = () => undefined;
const crashPoint: CrashPointHook = (point) => reachPoint(point);
let bucketLimits: Partial<BucketLimits> = {};

/** For the fault laboratory only: calls the hook at every crash point of every step. */
export function onCrashPoint(hook: (point: CrashPoint) => void | Promise<void>): void {
  reachPoint = hook;
}

/** For the fault laboratory only: makes parts of copies small and timeouts short. */
export function limitBucket(limits: Partial<BucketLimits>): void {
  bucketLimits = limits;
}

/** Every port of the machine's steps, on one connection of this invocation. */
export async function openLoader() {
  const current = settings();
  prepareTelemetry(current);
  const sql = await openDatabase(current);
  const store = openStore(current);
  const { leaseSeconds } = current;
  const target = openPostgresTarget({ open: async () => sql, schema: current.database.schema });
  const { catalog, staging } = target;
  const ports = {
    claims: openClaims(sql, leaseSeconds),
    records: openBatchRecords(sql),
    catalog,
    contracts: openContractStore({ sql, store, catalog }),
    turns: openTurns(sql, { maxWorkers: current.maxWorkers, maxLoads: current.maxLoads }),
    plans: openPlans({ sql, staging: staging.tables, leaseSeconds }),
    items: openWorkItems({ sql, leaseSeconds }),
    slices: openSlices({ sql, leaseSeconds, rows: staging.rows }),
    encoder: staging.encoder,
    commits: openCommits({ sql, target, leaseSeconds, crashPoint }),
    attempts: openAttempts({ sql, staging: staging.tables, leaseSeconds }),
    operations: openOperations(sql),
    sweeps: openSweeps(sql),
    heldBatches: openHeldBatches(sql),
    uncommitted: openUncommittedObjects(sql),
    leftovers: openLeftovers({ sql, staging: staging.tables }),
    store,
    archive: store,
    uploads: store,
    read: readFragment,
    log: openLog(),
    gauges: { emit: emitMeasures },
    crashPoint,
    newId: () => randomUUID(),
    now: () => Date.now(),
    pause: (milliseconds: number) => pause(milliseconds),
    memoryShare: () => (current.memoryBytes === null ? 0 : process.memoryUsage.rss() / current.memoryBytes),
    settings: current,
  };
  return { ports, close: () => closeAll(sql, store) };
}

async function closeAll(sql: Sql, store: { close(): void }): Promise<void> {
  store.close();
  await closeSql(sql);
}

/** The ports of a loader and Step Functions, for sweep and most of operate, which start executions. */
export async function openStarter() {
  const current = settings();
  const executions = openExecutions({
    stateMachineArn: machineArn(current),
    region: current.region,
    endpoint: current.localMachineEndpoint,
  });
  const loader = await openLoader();
  const close = async (): Promise<void> => {
    executions.close();
    await loader.close();
  };
  return { ports: { ...loader.ports, executions }, close };
}

/** The ports of start-load, which needs no database. */
export function openStartLoad() {
  const current = settings();
  prepareTelemetry(current);
  const { region, bucket, bucketOwner, batchIdPattern, deadLetterQueueUrl: queueUrl } = current;
  if (!queueUrl) throw new BlockedError("SETTINGS_INVALID", "DEAD_LETTER_QUEUE_URL is not set; deploy start-load anew");
  return {
    executions: openExecutions({
      stateMachineArn: machineArn(current),
      region,
      endpoint: current.localMachineEndpoint,
    }),
    deadLetters: openDeadLetters({ queueUrl, region, endpoint: current.localEndpoint }),
    log: openLog(),
    settings: { bucket, batchIdPattern, ...(bucketOwner !== null && { account: bucketOwner }) },
  };
}

/** The migrations, with the login that may create schemas and roles. */
export async function openMigrator() {
  const current = settings();
  prepareTelemetry(current);
  const sql = await openDatabase(current);
  const { schema } = current.database;
  const ports = {
    migrate: () =>
      explainingFault(current.database, async () => {
        const applied = await migrate(sql);
        const role = await loaderRole(current);
        if (role !== null) await grantLoader(sql, { ...role, schema });
        return applied;
      }),
  };
  return { ports, close: () => closeSql(sql) };
}

/** Reads the secret at every migration, which so gives the database a password that was rotated. */
async function loaderRole({ database, region }: Settings): Promise<{ role: string; password?: string } | null> {
  const { loaderSecretArn, loaderRole: role } = database;
  if (loaderSecretArn === null) return role === null ? null : { role };
  const { username, password } = await readSecret(loaderSecretArn, region);
  return { role: username, password };
}

/**
 * The ports of operate: those of a starter or of a diagnosis, opened when they are asked for, so that a fault of the
 * environment stops every operation except doctor, which reports it.
 */
export async function openOperator() {
  prepareTelemetry(inspectSettings().settings);
  const closings: Closing[] = [];
  const ports = {
    starter: async () => {
      const starter = await openStarter();
      closings.push(starter.close);
      return starter.ports;
    },
    doctor: () => openDoctor(closings),
  };
  const close = async (): Promise<void> => {
    for (const end of closings) await end();
  };
  return { ports, close };
}

type Closing = () => Promise<void> | void;

/** Limits of a diagnosis, in seconds: shorter than those of a load. */
const grace = 1;
const impatient = {
  open: doctorAnswerSeconds,
  transaction: doctorAnswerSeconds + grace,
  grace,
  stall: doctorAnswerSeconds,
};
const closeSeconds = 1;

/** Opens nothing that can fail before a check asks for it: such a fault is a finding. */
function openDoctor(closings: Closing[]) {
  const inspected = inspectSettings();
  const current = inspected.settings;
  const { region, localEndpoint, localMachineEndpoint, stateMachineArn, bucket: name, bucketOwner } = current;
  let opening: ReturnType<typeof openDatabase> | null = null;
  const open = (): ReturnType<typeof openDatabase> => {
    opening ??= openDatabase(current, impatient);
    return opening;
  };
  const bucket = openBucketDoctor({ bucket: name, bucketOwner, region, endpoint: localEndpoint });
  const store = openStore(current);
  const machine =
    stateMachineArn === null ? null : openMachineDoctor({ stateMachineArn, region, endpoint: localMachineEndpoint });
  closings.push(
    () => bucket.close(),
    () => store.close(),
    () => machine?.close(),
    // a connection that was never opened, failed to open, or opens too late needs no closing
    async () => {
      const sql = opening && (await within(closeSeconds, opening).catch(() => null));
      if (sql) await closeSql(sql);
    },
  );
  const { schema } = current.database;
  const reading = { budget: doctorAnswerSeconds, lockMilliseconds: doctorLockMilliseconds };
  const { catalog, inspect } = openPostgresTarget({ open, schema, reading });
  return {
    inspected,
    database: openDatabaseDoctor({ open, now: () => Date.now() }),
    catalog,
    inspect,
    bucket,
    store,
    machine,
    within,
    now: () => Date.now(),
  };
}

/** The deployed `operate` function, through which the CLI reaches a database that only the deployment can. */
export function openRemoteOperate(functionName: string): OpenOperate {
  return openOperateClient({ functionName, region: settings().region, endpoint: null });
}

/** The queues of the entrances, read with the permissions of the user of this process. */
export function openQueues(): QueueDoctor & { close(): void } {
  const { region, localEndpoint } = settings();
  return openQueueDoctor({ region, endpoint: localEndpoint });
}

/** @throws TransientError NO_ANSWER if the work takes longer; it then goes on in the background */
export async function within<Answer>(seconds: number, work: Promise<Answer>): Promise<Answer> {
  const late = Promise.withResolvers<never>();
  const text = `no answer within ${Math.round(seconds)} s`;
  const timer = setTimeout(() => late.reject(new TransientError("NO_ANSWER", text)), seconds * 1000);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** One connection on Lambda, since the infra's limits count on it; on one computer as many as the settings allow. */
export async function openDatabase(current: Settings, limits: Partial<ConnectionLimits> = {}): Promise<Sql> {
  const { host, port, name, tls, authorities, poolMax } = current.database;
  const connections = current.localEndpoint === null ? 1 : poolMax;
  const login = await loginOf(current);
  const encryption = tls === "off" ? null : readAuthorities(authorities);
  return openSql({ host, port, database: name, ...login, tls: encryption, connections, limits });
}

/** Reads a secret at every invocation, and once more if its login is refused, since it may just have been rotated. */
async function loginOf({ database, region }: Settings): Promise<Login & { renewLogin?: () => Promise<Login> }> {
  const { host, port, user, auth, password, secretArn } = database;
  if (auth === "iam") return { user, password: () => signDatabaseToken({ host, port, user, region }) };
  if (auth === "secret" && secretArn) {
    const renewLogin = async (): Promise<Login> => {
      const { username, password } = await readSecret(secretArn, region);
      return { user: username, password: () => password };
    };
    return { ...(await renewLogin()), renewLogin };
  }
  if (password !== null) return { user, password: () => password };
  const text = `login of ${user} at ${host}: no credential; set DB_PASSWORD or DB_SECRET_ARN, or DB_AUTH to iam`;
  throw new BlockedError("DB_AUTH", text);
}

const readSecret = (secretArn: string, region: string) => readDatabaseSecret({ secretArn, region, endpoint: null });

function openStore(current: Settings) {
  return openObjectStore({
    bucket: current.bucket,
    region: current.region,
    versioning: current.bucketVersioning,
    bucketOwner: current.bucketOwner,
    endpoint: current.localEndpoint,
    limits: bucketLimits,
    crashPoint,
  });
}

function prepareTelemetry(current: Settings): void {
  setLogLevel(current.logLevel);
  setMetricsEnabled(current.localEndpoint === null);
}

function machineArn({ stateMachineArn }: Settings): string {
  if (stateMachineArn) return stateMachineArn;
  throw new BlockedError("SETTINGS_INVALID", "STATE_MACHINE_ARN is not set; deploy the functions with their machine");
}
