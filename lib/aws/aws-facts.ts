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
import { bucketOf } from "./bucket-access.ts";
import { callAws, type ServiceAddress, toClientConfig } from "./client-config.ts";

/** Clients of doctor for bucket, state machine and queues. They only read, try once, and give up soon. */

type BucketDoctorOptions = ServiceAddress & { readonly bucket: string; readonly bucketOwner: string | null };
export type OpenBucketDoctor = BucketDoctor & { close(): void };

type Asking = {
  readonly client: S3Client;
  readonly where: ReturnType<typeof bucketOf>;
  readonly subject: string;
};

export function openBucketDoctor(options: BucketDoctorOptions): OpenBucketDoctor {
  const { bucket, endpoint } = options;
  const client = new S3Client({ ...toDoctorConfig(options), forcePathStyle: endpoint !== null });
  const asking: Asking = { client, where: bucketOf(options), subject: `s3://${bucket}` };
  return {
    list: () => listBucket(asking, options.region),
    versioning: () => readVersioning(asking),
    encryption: () => readEncryption(asking),
    sendsEvents: () => readEvents(asking),
    lifecycle: () => readLifecycle(asking),
    unfinished: (before) => countUnfinished(asking, before),
    close: () => client.destroy(),
  };
}

/** S3 redirects a request to the wrong region; this message names the region, which the general one cannot. */
async function listBucket({ client, where, subject }: Asking, region: string): Promise<void> {
  await callAws(subject, () =>
    client.send(new ListObjectsV2Command({ ...where, MaxKeys: 1 })).catch((error: unknown) => {
      if ((error as { name?: unknown }).name !== "PermanentRedirect") throw error;
      throw new BlockedError("S3_BUCKET", `${subject} lies in another region than ${region}; set AWS_REGION`);
    }),
  );
}

async function readVersioning({ client, where, subject }: Asking): Promise<"enabled" | "suspended" | "off"> {
  const { Status } = await callAws(subject, () => client.send(new GetBucketVersioningCommand(where)));
  if (Status === undefined) return "off";
  return Status === "Enabled" ? "enabled" : "suspended";
}

async function readEncryption({ client, where, subject }: Asking): Promise<string | null> {
  const unset = "ServerSideEncryptionConfigurationNotFoundError";
  const found = await callAws(subject, () => orNull(unset, client.send(new GetBucketEncryptionCommand(where))));
  const [rule] = found?.ServerSideEncryptionConfiguration?.Rules ?? [];
  return rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm ?? null;
}

async function readEvents({ client, where, subject }: Asking): Promise<boolean> {
  const found = await callAws(subject, () => client.send(new GetBucketNotificationConfigurationCommand(where)));
  return found.EventBridgeConfiguration !== undefined;
}

async function readLifecycle({ client, where, subject }: Asking): Promise<LifecycleRule[]> {
  const asked = () => client.send(new GetBucketLifecycleConfigurationCommand(where));
  const found = await callAws(subject, () => orNull("NoSuchLifecycleConfiguration", asked()));
  return (found?.Rules ?? []).filter(({ Status }) => Status === "Enabled").map(toRule);
}

/** S3 answers with an error of its own, and not with an empty answer, if a setting was never made. */
async function orNull<Answer>(unset: string, asked: Promise<Answer>): Promise<Answer | null> {
  try {
    return await asked;
  } catch (error) {
    if ((error as { name?: unknown }).name === unset) return null;
    throw error;
  }
}

function toRule({ ID, Prefix, Filter, Expiration, AbortIncompleteMultipartUpload }: GivenRule): LifecycleRule {
  return {
    id: ID ?? "",
    prefix: Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? "",
    expires: Expiration?.Days !== undefined || Expiration?.Date !== undefined,
    abortsUploads: AbortIncompleteMultipartUpload?.DaysAfterInitiation !== undefined,
  };
}

async function countUnfinished({ client, where, subject }: Asking, before: Date): Promise<number> {
  const { Uploads = [] } = await callAws(subject, () => client.send(new ListMultipartUploadsCommand(where)));
  return Uploads.filter(({ Initiated }) => Initiated !== undefined && Initiated < before).length;
}

export function openMachineDoctor(
  options: ServiceAddress & { stateMachineArn: string },
): MachineDoctor & { close(): void } {
  const client = new SFNClient(toDoctorConfig(options));
  const { stateMachineArn } = options;
  const subject = `state machine ${stateMachineArn}`;
  return {
    async status() {
      const command = new DescribeStateMachineCommand({ stateMachineArn });
      const { status } = await callAws(subject, () => client.send(command));
      return status ?? "unknown";
    },
    async running() {
      const command = new ListExecutionsCommand({ stateMachineArn, statusFilter: "RUNNING" });
      const { executions = [] } = await callAws(subject, () => client.send(command));
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
        throw toQueueFault(error, `queue ${QueueUrl}`);
      }
    },
    close: () => client.destroy(),
  };
}

const denied = ["AccessDenied", "AccessDeniedException", "CredentialsProviderError", "InvalidClientTokenId"];
const missing = ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"];

/** Core classifies the names that S3 has as well as faults of the bucket; SQS also keeps names of its older protocol. */
function toQueueFault(error: unknown, subject: string): unknown {
  const name = String((error as { name?: unknown } | null)?.name);
  if (denied.includes(name)) {
    const text = `${subject}: it may not be asked; allow sqs:GetQueueAttributes to whoever runs the command line`;
    return new BlockedError("AWS_ACCESS", text, { cause: error });
  }
  if (missing.includes(name)) return new BlockedError("AWS_MISSING", `${subject} does not exist`, { cause: error });
  return classifyAwsError(error, subject) ?? error;
}

const connectMilliseconds = 2_000;

/** A user waits for the diagnosis, and a service that does not answer soon is itself a finding. */
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
