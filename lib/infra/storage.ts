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
import { readContracts } from "./context.ts";
import { allowLogs } from "./loader-function.ts";
import { archivePatterns, folderOf } from "./permissions.ts";

type StorageProps = {
  readonly bucketName: string;
  /** Path of the table contracts that are deployed with the stack. */
  readonly contractsFile: string;
};

/**
 * Kept when the stack goes, but not when its first deployment fails: the next one could not make a bucket of that name
 * again, and there is nothing in it yet.
 */
const keepData = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;

/** The bucket of fragments, archive and reports, its key, and the table contracts in it. */
export class Storage extends Construct {
  readonly key: Key;
  readonly bucket: IBucket;
  readonly accessLogs: Bucket;
  readonly contracts: AwsCustomResource;

  constructor(scope: Construct, id: string, props: StorageProps) {
    super(scope, id);
    this.key = this.encryptionKey();
    this.accessLogs = new Bucket(this, "AccessLogs", {
      encryption: BucketEncryption.S3_MANAGED, // S3 delivers access logs to no other kind
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

  /** One key for fragments, notices and logs; logs and alarms are services that use it in their own name. */
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
    // Set by hand: the construct's own option brings a custom resource with a wildcard role.
    const cfnBucket = bucket.node.defaultChild as CfnBucket;
    cfnBucket.notificationConfiguration = { eventBridgeConfiguration: { eventBridgeEnabled: true } };
    return bucket as IBucket;
  }

  /** Written through one call: small, versioned by the bucket, and repeated only when the file changes. */
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
 * What the bucket does by itself. What was loaded is the evidence of what is in the database: it is kept for ever, only
 * cheaper, in a class that is read as fast as any. Contracts are kept in every version.
 */
const lifecycleRules: LifecycleRule[] = [
  {
    id: "previews",
    prefix: folderOf(archivePatterns.previews),
    expiration: days(previewDays),
    noncurrentVersionExpiration: days(1),
  },
  { id: "multipart", abortIncompleteMultipartUploadAfter: days(unfinishedUploadDays) },
  // A fragment that was loaded leaves a delete marker and the version below it.
  {
    id: "staging",
    prefix: stagingPrefix,
    noncurrentVersionExpiration: days(stagedVersionDays),
    expiredObjectDeleteMarker: true,
  },
  archive("loaded", folderOf(archivePatterns.loaded), loadedVersionDays),
  archive("failed", folderOf(archivePatterns.failed), failedVersionDays),
];

/** Whoever overwrites or deletes an archived object by hand has so many days to regret it. */
function archive(id: string, prefix: string, regretDays: number): LifecycleRule {
  return {
    id,
    prefix,
    transitions: [{ storageClass: StorageClass.INTELLIGENT_TIERING, transitionAfter: days(archiveTierDays) }],
    noncurrentVersionExpiration: days(regretDays),
    expiredObjectDeleteMarker: true,
  };
}
