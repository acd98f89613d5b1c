import { ArnFormat, Aws, Stack } from "aws-cdk-lib";
import { Construct } from "constructs";
import {
  machineName,
  metricsNamespace,
  otherFunctions,
  serviceName,
  type TaskState,
  taskStates,
} from "../core/states.ts";
import { archivePatterns, type KeyPattern } from "./bucket-patterns.ts";
import { functionSizes, type HandlerName } from "./capacity.ts";
import type { LoaderContext } from "./context.ts";
import type { DatabaseAccess } from "./database-access.ts";
import { LoaderFunction } from "./loader-function.ts";
import { bucketActions, bucketPermissions, machineInspection, startsExecutions } from "./permissions.ts";
import type { Storage } from "./storage.ts";

export type LoaderFunctionsProps = {
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
    const entries = handlerNames.map((handler) => [handler, this.create(handler, props)] as const);
    this.byHandler = Object.fromEntries(entries) as Record<HandlerName, LoaderFunction>;
  }

  /** The function that runs a state of the machine. */
  ofState(state: TaskState): LoaderFunction {
    return this.byHandler[taskStates[state]];
  }

  all(): readonly LoaderFunction[] {
    return Object.values(this.byHandler);
  }

  private create(handler: HandlerName, props: LoaderFunctionsProps): LoaderFunction {
    const { context, storage, database } = props;
    const usesDatabase = functionSizes[handler].connections !== null;
    const loader = new LoaderFunction(this, pascalCase(handler), {
      handler,
      prod: context.stage === "prod",
      logKey: storage.key,
      environment: {
        ...commonEnvironment(context, storage),
        ...(usesDatabase && databaseEnvironment(handler, database)),
      },
      ...(usesDatabase && database.network && { network: database.network }),
      ...(handler === "migrate" && { folders: { migrations: "ledger/migrations" } }),
    });
    grantBucket(loader, handler, storage);
    if (usesDatabase) grantDatabase(loader, handler, database);
    if (startsExecutions[handler]) grantExecutions(loader, handler);
    return loader;
  }
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
  const secretArn = secretOf(handler, database);
  return {
    DB_HOST: database.host,
    DB_PORT: database.port,
    DB_NAME: database.name,
    DB_USER: database.user,
    DB_TLS: database.tls,
    // Only a new database has a role of the loader's own; an existing one is entered by its secret's user.
    ...(handler === "migrate" && "iamResourceId" in database.login && { DB_LOADER_ROLE: database.user }),
    ...(secretArn === null ? { DB_AUTH: "iam" } : { DB_AUTH: "secret", DB_SECRET_ARN: secretArn }),
    // The roots of RDS are no part of Node's own since Node 20.
    ...(database.tls === "verify" && { NODE_EXTRA_CA_CERTS: "/var/runtime/ca-cert.pem" }),
  };
}

function secretOf(handler: HandlerName, database: DatabaseAccess): string | null {
  if (handler === "migrate") return database.adminSecretArn;
  return "secretArn" in database.login ? database.login.secretArn : null;
}

function grantDatabase(loader: LoaderFunction, handler: HandlerName, database: DatabaseAccess): void {
  const secretArn = secretOf(handler, database);
  if (secretArn !== null) loader.allow(["secretsmanager:GetSecretValue"], [secretArn]);
  if (secretArn !== null || "secretArn" in database.login) return;
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
