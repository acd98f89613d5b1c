import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ArnFormat, Aws, Stack, Stage } from "aws-cdk-lib";
import { Construct } from "constructs";
import {
  machineName,
  metricsNamespace,
  otherFunctions,
  serviceName,
  type TaskState,
  taskStates,
} from "../core/machine.ts";
import { functionSizes, type HandlerName, taskNameOf } from "./capacity.ts";
import { authoritiesOf, type LoaderContext } from "./context.ts";
import type { DatabaseAccess } from "./database-network.ts";
import { LoaderFunction } from "./loader-function.ts";
import {
  archivePatterns,
  bucketActions,
  bucketPermissions,
  machineInspection,
  startsExecutions,
} from "./permissions.ts";
import type { Storage } from "./storage.ts";

type Files = Readonly<Record<string, string>>;

type LoaderFunctionsProps = {
  readonly context: LoaderContext;
  readonly storage: Storage;
  readonly database: DatabaseAccess;
};

const handlerNames: readonly HandlerName[] = [...Object.values(taskStates), ...otherFunctions];

/** All functions of the loader, each with the environment and the permissions that its work needs. */
export class LoaderFunctions extends Construct {
  readonly byHandler: Readonly<Record<HandlerName, LoaderFunction>>;

  constructor(scope: Construct, id: string, props: LoaderFunctionsProps) {
    super(scope, id);
    const files = authoritiesFile(this, props.context);
    const entries = handlerNames.map((handler) => [handler, this.create(handler, { ...props, files })] as const);
    this.byHandler = Object.fromEntries(entries) as Record<HandlerName, LoaderFunction>;
  }

  /** The function that runs a state of the machine. */
  ofState(state: TaskState): LoaderFunction {
    return this.byHandler[taskStates[state]];
  }

  all(): readonly LoaderFunction[] {
    return Object.values(this.byHandler);
  }

  private create(handler: HandlerName, props: LoaderFunctionsProps & { files: Files }): LoaderFunction {
    const { context, storage, database, files } = props;
    const usesDatabase = functionSizes[handler].connections !== null;
    const loader = new LoaderFunction(this, taskNameOf(handler), {
      handler,
      prod: context.stage === "prod",
      logKey: storage.key,
      environment: {
        ...commonEnvironment(context, storage),
        ...(usesDatabase && databaseEnvironment(handler, database)),
        ...(usesDatabase && authorities in files && { DB_CA: "bundled" }),
      },
      ...(usesDatabase && { files }),
      ...(usesDatabase && database.network && { network: database.network }),
      ...(handler === "migrate" && { folders: { migrations: "ledger/migrations" } }),
    });
    grantBucket(loader, handler, storage);
    if (usesDatabase) grantDatabase(loader, handler, database);
    if (startsExecutions[handler]) grantExecutions(loader, handler);
    return loader;
  }
}

/** File name that lib/postgres/client.ts looks for. */
const authorities = "database-ca.pem";

/** Writes the certificates to a file beside the bundles and not into them: together they are 130 KB. */
function authoritiesFile(scope: Construct, context: LoaderContext): Files {
  const found = authoritiesOf(context);
  if (found === null) return {};
  if ("fault" in found) throw new Error(`context: databaseCa, ${found.fault}`);
  const path = join(Stage.of(scope)?.outdir ?? ".", authorities);
  writeFileSync(path, found.pem);
  return { [authorities]: path };
}

function commonEnvironment(context: LoaderContext, storage: Storage): Record<string, string> {
  const settings: Record<string, string | number | boolean | undefined> = {
    S3_BUCKET: storage.bucket.bucketName,
    S3_BUCKET_OWNER: Aws.ACCOUNT_ID,
    REQUIRE_APPROVAL: context.requireApproval,
    MAX_RETRIES: context.maxRetries,
    BATCH_SIZE: context.batchSize,
    TRANSACTION_TIMEOUT: context.transactionTimeout,
    MAX_RECORDS_PER_BATCH: context.maxRecordsPerBatch,
    // the planner divides the reserved concurrency between loads
    MAX_WORKERS: functionSizes["stage-fragments"].connections ?? undefined,
    MAX_LOADS: functionSizes["commit-batch"].connections ?? undefined,
    BATCH_ID_PATTERN: context.batchIdPattern,
    UNDO_RETENTION_DAYS: context.undoRetentionDays,
    AUDIT_RETENTION_DAYS: context.auditRetentionDays,
    LOG_LEVEL: context.logLevel,
    POWERTOOLS_SERVICE_NAME: serviceName,
    POWERTOOLS_METRICS_NAMESPACE: metricsNamespace,
  };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

/** Migrate owns the control tables, so it logs in as the administrator; all other functions log in as the loader. */
function databaseEnvironment(handler: HandlerName, database: DatabaseAccess): Record<string, string> {
  const [secretArn] = secretsOf(handler, database);
  return {
    DB_HOST: database.host,
    DB_PORT: database.port,
    DB_NAME: database.name,
    DB_USER: database.user,
    DB_TLS: database.tls,
    ...(handler === "migrate" && loaderRole(database)),
    ...(secretArn === undefined ? { DB_AUTH: "iam" } : { DB_AUTH: "secret", DB_SECRET_ARN: secretArn }),
  };
}

/** The loader's login, which migrate creates: none if the loader is the administrator of an existing database. */
function loaderRole({ login, user, adminSecretArn }: DatabaseAccess): Record<string, string> {
  if ("iamResourceId" in login) return { DB_LOADER_ROLE: user };
  return login.secretArn === adminSecretArn ? {} : { DB_LOADER_SECRET_ARN: login.secretArn };
}

/** The secrets that a function reads; the first is its own login. */
function secretsOf(handler: HandlerName, { login, adminSecretArn }: DatabaseAccess): string[] {
  const loader = "secretArn" in login ? [login.secretArn] : [];
  return handler === "migrate" ? [...new Set([adminSecretArn, ...loader])] : loader;
}

function grantDatabase(loader: LoaderFunction, handler: HandlerName, database: DatabaseAccess): void {
  const secrets = secretsOf(handler, database);
  if (secrets.length > 0) loader.allow(["secretsmanager:GetSecretValue"], secrets);
  if (secrets.length > 0 || "secretArn" in database.login) return;
  const stack = Stack.of(loader);
  const resourceName = `${database.login.iamResourceId}/${database.user}`;
  const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
  loader.allow(
    ["rds-db:connect"],
    [stack.formatArn({ service: "rds-db", resource: "dbuser", resourceName, arnFormat })],
  );
}

function grantBucket(loader: LoaderFunction, handler: HandlerName, storage: Storage): void {
  const { bucket, key } = storage;
  const permissions = bucketPermissions[handler];
  for (const name of Object.keys(bucketActions) as (keyof typeof bucketActions)[]) {
    const given = permissions[name] ?? false;
    if (given === true) loader.allow(bucketActions[name], [bucket.bucketArn]);
    if (typeof given === "boolean") continue;
    const objects = given.map((pattern) => bucket.arnForObjects(archivePatterns[pattern]));
    loader.allow(bucketActions[name], objects);
  }
  // S3 also decrypts when it joins the parts of a multipart upload.
  if (permissions.read || permissions.write) loader.allow(["kms:Decrypt"], [key.keyArn]);
  if (permissions.write) loader.allow(["kms:GenerateDataKey"], [key.keyArn]);
}

/** Names the machine by a text: its definition refers to the functions, so a reference would be a circle. */
function grantExecutions(loader: LoaderFunction, handler: HandlerName): void {
  const stack = Stack.of(loader);
  const arn = (resource: string, resourceName: string) =>
    stack.formatArn({ service: "states", resource, resourceName, arnFormat: ArnFormat.COLON_RESOURCE_NAME });
  const machineArn = arn("stateMachine", machineName);
  loader.function.addEnvironment("STATE_MACHINE_ARN", machineArn);
  loader.allow(["states:StartExecution"], [machineArn]);
  loader.allow(["states:DescribeExecution"], [arn("execution", `${machineName}:*`)]);
  if (handler === machineInspection.handler) loader.allow(machineInspection.actions, [machineArn]);
}
