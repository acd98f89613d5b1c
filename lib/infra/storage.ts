import { Aws, Duration, RemovalPolicy } from "aws-cdk-lib";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Key } from "aws-cdk-lib/aws-kms";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  type CfnBucket,
  type IBucket,
  type LifecycleRule,
  ObjectOwnership,
  StorageClass,
} from "aws-cdk-lib/aws-s3";
import { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from "aws-cdk-lib/custom-resources";
import { Construct } from "constructs";
import {
  archiveTierDays,
  failedVersionDays,
  loadedVersionDays,
  previewDays,
  stagedVersionDays,
  unfinishedUploadDays,
} from "../core/durations.ts";
import { contractsKey, stagingPrefix } from "../core/keys.ts";
import { type LoaderContext, readContracts } from "./context.ts";
import { allowLogs } from "./loader-function.ts";
import { archivePatterns, folderOf } from "./permissions.ts";

/**
 * Retained when the stack is deleted, but not when its first deployment fails: the bucket is still empty then, and the
 * next deployment could not create one of the same name.
 */
const keepData = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;

/** The bucket of fragments, archive and reports, its encryption key, and the table contracts in it. */
export class Storage extends Construct {
  readonly key: Key;
  readonly bucket: IBucket;
  readonly accessLogs: Bucket;
  readonly contracts: AwsCustomResource;

  constructor(scope: Construct, id: string, props: Pick<LoaderContext, "bucketName" | "contractsFile">) {
    super(scope, id);
    this.key = this.encryptionKey();
    this.accessLogs = new Bucket(this, "AccessLogs", {
      // S3 delivers access logs to no bucket with another kind of encryption
      encryption: BucketEncryption.S3_MANAGED,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      lifecycleRules: [{ expiration: Duration.days(365), abortIncompleteMultipartUploadAfter: Duration.days(1) }],
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.bucket = this.fragments(props.bucketName);
    this.contracts = this.deployContracts(props.contractsFile);
  }

  /** One key for fragments, notices and logs. CloudWatch Logs and alarms use it in their own name. */
  private encryptionKey(): Key {
    const key = new Key(this, "Key", { enableKeyRotation: true, description: "Table Loader", removalPolicy: keepData });
    allowLogs(key);
    key.addToResourcePolicy(
      new PolicyStatement({
        actions: ["kms:Decrypt", "kms:GenerateDataKey"],
        resources: ["*"],
        principals: [new ServicePrincipal("cloudwatch.amazonaws.com")],
        conditions: { StringEquals: { "aws:SourceAccount": Aws.ACCOUNT_ID } },
      }),
    );
    return key;
  }

  private fragments(bucketName: string): IBucket {
    const bucket = new Bucket(this, "Fragments", {
      bucketName,
      versioned: true,
      encryption: BucketEncryption.KMS,
      encryptionKey: this.key,
      bucketKeyEnabled: true,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      serverAccessLogsBucket: this.accessLogs as IBucket,
      serverAccessLogsPrefix: "fragments/",
      lifecycleRules,
      removalPolicy: keepData,
    });
    // Set on the resource: the construct's own option adds a custom resource with a wildcard role.
    const cfnBucket = bucket.node.defaultChild as CfnBucket;
    cfnBucket.notificationConfiguration = { eventBridgeConfiguration: { eventBridgeEnabled: true } };
    return bucket as IBucket;
  }

  /** Writes the contracts through one call, which CloudFormation repeats only when the file changes. */
  private deployContracts(file: string): AwsCustomResource {
    const body = readContracts(file);
    const write = {
      service: "S3",
      action: "putObject",
      parameters: { Bucket: this.bucket.bucketName, Key: contractsKey, Body: body, ContentType: "application/json" },
      physicalResourceId: PhysicalResourceId.of(contractsKey),
      outputPaths: ["VersionId"],
    };
    const contracts = new AwsCustomResource(this, "Contracts", {
      onCreate: write,
      onUpdate: write,
      installLatestAwsSdk: false,
      logGroup: new LogGroup(this, "ContractsLogs", {
        retention: RetentionDays.ONE_MONTH,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
      policy: AwsCustomResourcePolicy.fromStatements([
        new PolicyStatement({ actions: ["s3:PutObject"], resources: [this.bucket.arnForObjects(contractsKey)] }),
        new PolicyStatement({ actions: ["kms:GenerateDataKey"], resources: [this.key.keyArn] }),
      ]),
    });
    contracts.node.addDependency(this.bucket);
    return contracts;
  }
}

const days = Duration.days;

/**
 * Lifecycle of the bucket's objects. Loaded fragments are the evidence of what is in the database, so they are kept for
 * ever, in a cheaper class that is read as fast as any. Contracts are kept in every version.
 */
const lifecycleRules: LifecycleRule[] = [
  {
    id: "previews",
    prefix: folderOf(archivePatterns.previews),
    expiration: days(previewDays),
    noncurrentVersionExpiration: days(1),
  },
  { id: "multipart", abortIncompleteMultipartUploadAfter: days(unfinishedUploadDays) },
  // Moving a loaded fragment away leaves a delete marker and the version below it.
  {
    id: "staging",
    prefix: stagingPrefix,
    noncurrentVersionExpiration: days(stagedVersionDays),
    expiredObjectDeleteMarker: true,
  },
  archive("loaded", folderOf(archivePatterns.loaded), loadedVersionDays),
  archive("failed", folderOf(archivePatterns.failed), failedVersionDays),
];

/** Archived objects that were overwritten or deleted by hand can be restored for `restoreDays`. */
function archive(id: string, prefix: string, restoreDays: number): LifecycleRule {
  return {
    id,
    prefix,
    transitions: [{ storageClass: StorageClass.INTELLIGENT_TIERING, transitionAfter: days(archiveTierDays) }],
    noncurrentVersionExpiration: days(restoreDays),
    expiredObjectDeleteMarker: true,
  };
}
