import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import type { DeadLetters } from "../core/arrivals.ts";
import { classifyAwsError } from "../core/classify-error.ts";
import { type ServiceAddress, toClientConfig } from "./client-config.ts";

/** The queue for what a human has to look at. Body as it came; the reason's code as the message attribute `code`. */
export function openDeadLetters(options: ServiceAddress & { queueUrl: string }): DeadLetters & { close(): void } {
  const client = new SQSClient(toClientConfig(options));
  const { queueUrl: QueueUrl } = options;
  return {
    async send(body, { code }) {
      const MessageAttributes = { code: { DataType: "String", StringValue: code } };
      try {
        await client.send(new SendMessageCommand({ QueueUrl, MessageBody: body, MessageAttributes }));
      } catch (error) {
        throw classifyAwsError(error, `queue ${QueueUrl}`) ?? error;
      }
    },
    close: () => client.destroy(),
  };
}
