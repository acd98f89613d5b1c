import {
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketVersioningCommand,
  type LifecycleRule as GivenRule,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from "@aws-sdk/client-s3";
import { DescribeStateMachineCommand, ListExecutionsCommand, SFNClient } from "@aws-sdk/client-sfn";
import { GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { classifyAwsError } from "../core/classify-error.ts";
import type { BucketDoctor, LifecycleRule, MachineDoctor, QueueDoctor } from "../core/doctor.ts";
import { doctorAnswerSeconds } from "../core/durations.ts";
import { BlockedError } from "../core/errors.ts";
import { callS3 } from "./bucket-access.ts";
import { type ServiceAddress, toClientConfig } from "./client-config.ts";

type BucketDoctorOptions = ServiceAddress & { readonly bucket: string; readonly bucketOwner: string | null };
export type OpenBucketDoctor = BucketDoctor & { close(): void };

type Asking = { readonly client: S3Client; readonly where: Where; readonly subject: string };
type Where = { readonly Bucket: string; readonly ExpectedBucketOwner?: string };

/** Reads how the bucket is set up; writes nothing. */
export function openBucketDoctor(options: BucketDoctorOptions): OpenBucketDoctor {
  const { bucket, bucketOwner, endpoint } = options;
  const client = new S3Client({ ...toDoctorConfig(options), forcePathStyle: endpoint !== null });
  const where = { Bucket: bucket, ...(bucketOwner === null ? {} : { ExpectedBucketOwner: bucketOwner }) };
  const asking: Asking = { client, where, subject: `s3://${bucket}` };
  return {
    crashPoint: () => crashPoint(() => client.send(new ListObjectsV2Command({ ...where, MaxKeys: 1 })), options),
    versioning: () => readVersioning(asking),
    encryption: () => readEncryption(asking),
    sendsEvents: () => readEvents(asking),
    lifecycle: () => readLifecycle(asking),
    unfinished: (before) => countUnfinished(asking, before),
    close: () => client.destroy(),
  };
}

async function readVersioning({ client, where, subject }: Asking): Promise<"enabled" | "suspended" | "off"> {
  const { Status } = await callS3(subject, () => client.send(new GetBucketVersioningCommand(where)));
  if (Status === undefined) return "off";
  return Status === "Enabled" ? "enabled" : "suspended";
}

async function readEncryption({ client, where, subject }: Asking): Promise<string | null> {
  const unset = "ServerSideEncryptionConfigurationNotFoundError";
  const found = await callS3(subject, () => orNull(unset, client.send(new GetBucketEncryptionCommand(where))));
  const [rule] = found?.ServerSideEncryptionConfiguration?.Rules ?? [];
  return rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm ?? null;
}

async function readEvents({ client, where, subject }: Asking): Promise<boolean> {
  const found = await callS3(subject, () => client.send(new GetBucketNotificationConfigurationCommand(where)));
  return found.EventBridgeConfiguration !== undefined;
}

async function readLifecycle({ client, where, subject }: Asking): Promise<LifecycleRule[]> {
  const asked = () => client.send(new GetBucketLifecycleConfigurationCommand(where));
  const found = await callS3(subject, () => orNull("NoSuchLifecycleConfiguration", asked()));
  return (found?.Rules ?? []).filter(({ Status }) => Status === "Enabled").map(toRule);
}

async function countUnfinished({ client, where, subject }: Asking, before: Date): Promise<number> {
  const { Uploads = [] } = await callS3(subject, () => client.send(new ListMultipartUploadsCommand(where)));
  return Uploads.filter(({ Initiated }) => Initiated !== undefined && Initiated < before).length;
}

/** What is not set has an error of its own instead of an empty answer. */
async function orNull<Answer>(unset: string, asked: Promise<Answer>): Promise<Answer | null> {
  try {
    return await asked;
  } catch (error) {
    if ((error as { name?: unknown }).name === unset) return null;
    throw error;
  }
}

/** S3 sends somebody who asks in the wrong region elsewhere, which is none of the faults of a load. */
async function crashPoint(call: () => Promise<unknown>, { bucket, region }: BucketDoctorOptions): Promise<void> {
  await callS3(`s3://${bucket}`, () =>
    call().catch((error: unknown) => {
      if ((error as { name?: unknown }).name !== "PermanentRedirect") throw error;
      throw new BlockedError("S3_BUCKET", `s3://${bucket} lies in another region than ${region}; set AWS_REGION`);
    }),
  );
}

function toRule({ ID, Prefix, Filter, Expiration, AbortIncompleteMultipartUpload }: GivenRule): LifecycleRule {
  return {
    id: ID ?? "",
    prefix: Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? "",
    expires: Expiration?.Days !== undefined || Expiration?.Date !== undefined,
    abortsUploads: AbortIncompleteMultipartUpload?.DaysAfterInitiation !== undefined,
  };
}

const connectMilliseconds = 2_000;

/** For somebody who waits for a diagnosis: what does not answer soon is a finding. */
function toDoctorConfig(address: ServiceAddress) {
  return {
    ...toClientConfig(address),
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: connectMilliseconds,
      requestTimeout: doctorAnswerSeconds * 1000,
      throwOnRequestTimeout: true,
    },
  };
}

type OpenMachineDoctor = MachineDoctor & { close(): void };

export function openMachineDoctor(options: ServiceAddress & { stateMachineArn: string }): OpenMachineDoctor {
  const client = new SFNClient(toDoctorConfig(options));
  const { stateMachineArn } = options;
  const ask = async <Answer>(call: () => Promise<Answer>): Promise<Answer> => {
    try {
      return await call();
    } catch (error) {
      throw classifyAwsError(error, `state machine ${stateMachineArn}`) ?? error;
    }
  };
  return {
    async status() {
      const { status } = await ask(() => client.send(new DescribeStateMachineCommand({ stateMachineArn })));
      return status ?? "unknown";
    },
    async running() {
      const command = new ListExecutionsCommand({ stateMachineArn, statusFilter: "RUNNING" });
      const { executions = [] } = await ask(() => client.send(command));
      return executions.flatMap(({ name, startDate }) => (name && startDate ? [{ name, startedAt: startDate }] : []));
    },
    close: () => client.destroy(),
  };
}

export function openQueueDoctor(address: ServiceAddress): QueueDoctor & { close(): void } {
  const client = new SQSClient(toDoctorConfig(address));
  return {
    async measure(QueueUrl) {
      const command = new GetQueueAttributesCommand({
        QueueUrl,
        AttributeNames: ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
      });
      try {
        const { Attributes = {} } = await client.send(command);
        return {
          waiting: Number(Attributes.ApproximateNumberOfMessages ?? 0),
          inFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0),
        };
      } catch (error) {
        throw toFault(error, `queue ${QueueUrl}`);
      }
    },
    close: () => client.destroy(),
  };
}

const denied = ["AccessDenied", "AccessDeniedException", "CredentialsProviderError", "InvalidClientTokenId"];
const missing = ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"];

/** Names that S3 has, too, are classified as its faults; and SQS still has the names of its older protocol. */
function toFault(error: unknown, subject: string): unknown {
  const name = String((error as { name?: unknown } | null)?.name);
  if (denied.includes(name)) {
    const text = `${subject}: it may not be asked; allow sqs:GetQueueAttributes to whoever runs the command line`;
    return new BlockedError("AWS_ACCESS", text, { cause: error });
  }
  if (missing.includes(name)) return new BlockedError("AWS_MISSING", `${subject} does not exist`, { cause: error });
  return classifyAwsError(error, subject) ?? error;
}
