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
import { functionSizes, type HandlerName } from "./capacity.ts";
import { authoritiesOf, type LoaderContext } from "./context.ts";
import type { DatabaseAccess } from "./database-network.ts";
import { LoaderFunction } from "./loader-function.ts";
import {
  archivePatterns,
  bucketActions,
  bucketPermissions,
  type KeyPattern,
  machineInspection,
  startsExecutions,
} from "./permissions.ts";
import type { Storage } from "./storage.ts";

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
    const loader = new LoaderFunction(this, pascalCase(handler), {
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

type Files = Readonly<Record<string, string>>;

/** By this name lib/postgres/client.ts looks for it. */
const authorities = "database-ca.pem";

/** Laid beside the bundles instead of into them: all certificates together are 130 KB. */
function authoritiesFile(scope: Construct, context: LoaderContext): Files {
  const found = authoritiesOf(context);
  if (found === null) return {};
  if ("fault" in found) throw new Error(`context: databaseCa, ${found.fault}`);
  const path = join(Stage.of(scope)?.outdir ?? ".", authorities);
  writeFileSync(path, found.pem);
  return { [authorities]: path };
}

function pascalCase(handler: HandlerName): string {
  return handler.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
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
    // what the functions can be started, the planner deals out
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

/** migrate owns the control tables, so it logs in as the database's administrator; everything else as the loader. */
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

/** What migrate makes for the loader: nothing where that is the administrator of an existing database itself. */
function loaderRole({ login, user, adminSecretArn }: DatabaseAccess): Record<string, string> {
  if ("iamResourceId" in login) return { DB_LOADER_ROLE: user };
  return login.secretArn === adminSecretArn ? {} : { DB_LOADER_SECRET_ARN: login.secretArn };
}

/** The secrets that a function reads, first the one that it logs in with. */
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
  const { list, uploads, inspect, read = [], write = [], remove = [], abandon = [] } = bucketPermissions[handler];
  const objects = (patterns: readonly KeyPattern[]) =>
    patterns.map((pattern) => storage.bucket.arnForObjects(archivePatterns[pattern]));
  if (list) loader.allow(bucketActions.list, [storage.bucket.bucketArn]);
  if (uploads) loader.allow(bucketActions.uploads, [storage.bucket.bucketArn]);
  if (abandon.length > 0) loader.allow(bucketActions.abandon, objects(abandon));
  if (inspect) loader.allow(bucketActions.inspect, [storage.bucket.bucketArn]);
  if (read.length > 0) loader.allow(bucketActions.read, objects(read));
  if (write.length > 0) loader.allow(bucketActions.write, objects(write));
  if (remove.length > 0) loader.allow(bucketActions.remove, objects(remove));
  // S3 also decrypts while it puts the parts of a multipart upload together.
  if (read.length + write.length > 0) loader.allow(["kms:Decrypt"], [storage.key.keyArn]);
  if (write.length > 0) loader.allow(["kms:GenerateDataKey"], [storage.key.keyArn]);
}

/** By name, because the machine's definition already names the functions. */
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
