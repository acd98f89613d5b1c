import { GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { classifyAwsError } from "../core/classify-error.ts";
import type { QueueDoctor } from "../core/doctor.ts";
import { BlockedError } from "../core/errors.ts";
import type { ServiceAddress } from "./client-config.ts";
import { toDoctorConfig } from "./doctor-config.ts";

export type OpenQueueDoctor = QueueDoctor & { close(): void };

export function openQueueDoctor(address: ServiceAddress): OpenQueueDoctor {
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
