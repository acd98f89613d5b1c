import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import type { DeadLetters } from "../core/arrivals.ts";
import { callAws, type ServiceAddress, toClientConfig } from "./client-config.ts";

/** The queue of messages for an operator: the body unchanged, the reason's code as the message attribute `code`. */
export function openDeadLetters(options: ServiceAddress & { queueUrl: string }): DeadLetters & { close(): void } {
  const client = new SQSClient(toClientConfig(options));
  const { queueUrl: QueueUrl } = options;
  return {
    async send(body, { code }) {
      const MessageAttributes = { code: { DataType: "String", StringValue: code } };
      const command = new SendMessageCommand({ QueueUrl, MessageBody: body, MessageAttributes });
      await callAws(`queue ${QueueUrl}`, () => client.send(command));
    },
    close: () => client.destroy(),
  };
}
