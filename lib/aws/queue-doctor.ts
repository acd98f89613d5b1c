import { GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import type { QueueDoctor } from "../core/doctor.ts";
import { classifyAwsError } from "../core/faults.ts";
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
        throw classifyAwsError(error, `queue ${QueueUrl}`) ?? error;
      }
    },
    close: () => client.destroy(),
  };
}
