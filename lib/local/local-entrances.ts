import { setTimeout as pause } from "node:timers/promises";
import { localCloseSeconds } from "../core/durations.ts";
import { stagingPrefix } from "../core/keys.ts";
import type { LocalBucket } from "./bucket.ts";
import { invokeLambda, type LambdaFunction } from "./lambda.ts";
import type { ObjectCreatedEvent } from "./object-event.ts";

/** Starts loads by itself, as the deployed entrances do: arrivals through the queue, and the sweep on a timer. */

type LocalEntrancesOptions = {
  readonly bucket: LocalBucket;
  /** The function start-load: it takes an SQSEvent and answers `{ batchItemFailures }`. */
  readonly startLoad: LambdaFunction;
  /** Time over which messages are gathered, so that the events of one batch come together. @default 300 */
  readonly windowMilliseconds?: number;
  /** Receives the errors of the loop; the messages are delivered again. */
  readonly onFault?: (error: unknown) => void;
};

export type Delivery = { readonly received: number; readonly failed: number };

export type LocalEntrances = {
  /** Queues an event of an object in staging and ignores all others, as the EventBridge rule does. */
  deliver(event: ObjectCreatedEvent): void;
  /** Passes all queued messages to start-load at once; for tests. */
  drain(): Promise<Delivery>;
  /** Polls until `close`. */
  start(): void;
  close(): Promise<void>;
};

type Message = {
  readonly MessageId: string;
  readonly ReceiptHandle: string;
  readonly Body: string;
  readonly MD5OfBody: string;
  readonly Attributes?: Readonly<Record<string, string>>;
};

const messagesPerReceive = 10;
const messagesPerInvocation = 100;
const longPollSeconds = 20;
const pauseAfterFault = 1_000;

export function openLocalEntrances(options: LocalEntrancesOptions): LocalEntrances {
  const stop = new AbortController();
  const sending = new Set<Promise<unknown>>();
  let polling: Promise<void> = Promise.resolve();

  const sent = async (): Promise<void> => {
    await Promise.all(sending);
  };
  return {
    deliver(event) {
      if (!event.detail.object.key.startsWith(stagingPrefix)) return;
      const { bucket } = options;
      const message = { QueueUrl: bucket.arrivals.url, MessageBody: JSON.stringify(event) };
      const send = bucket.sqs("SendMessage", message).catch(options.onFault);
      sending.add(send);
      send.finally(() => sending.delete(send));
    },
    async drain() {
      await sent();
      return drainQueue(options);
    },
    start() {
      polling = pollUntil(stop.signal, options);
    },
    async close() {
      stop.abort();
      await Promise.race([polling, pause(localCloseSeconds * 1000, undefined, { ref: false })]);
      await sent();
    },
  };
}

async function drainQueue(options: LocalEntrancesOptions): Promise<Delivery> {
  let total: Delivery = { received: 0, failed: 0 };
  for (;;) {
    const messages = await gather(options.bucket, []);
    if (messages.length === 0) return total;
    const failed = await deliverAll(options, messages);
    total = { received: total.received + messages.length, failed: total.failed + failed };
  }
}

async function pollUntil(signal: AbortSignal, options: LocalEntrancesOptions): Promise<void> {
  const { bucket, windowMilliseconds = 300 } = options;
  while (!signal.aborted) {
    try {
      const first = await receive(bucket, longPollSeconds, signal);
      if (first.length === 0) continue;
      await pause(windowMilliseconds, undefined, { signal });
      await deliverAll(options, await gather(bucket, first));
    } catch (error) {
      if (signal.aborted) return;
      options.onFault?.(error);
      await pause(pauseAfterFault, undefined, { signal }).catch(() => {});
    }
  }
}

async function gather(bucket: LocalBucket, first: readonly Message[]): Promise<Message[]> {
  const messages = [...first];
  while (messages.length < messagesPerInvocation) {
    const more = await receive(bucket, 0);
    if (more.length === 0) break;
    messages.push(...more);
  }
  return messages;
}

async function receive(bucket: LocalBucket, WaitTimeSeconds: number, signal?: AbortSignal): Promise<Message[]> {
  const input = {
    QueueUrl: bucket.arrivals.url,
    MaxNumberOfMessages: messagesPerReceive,
    WaitTimeSeconds,
    MessageSystemAttributeNames: ["All"],
  };
  const answer = (await bucket.sqs("ReceiveMessage", input, signal)) as { Messages?: Message[] };
  return answer.Messages ?? [];
}

/**
 * Passes messages to start-load, deletes those that it took, and answers with the number of the others: those that it
 * reports, or all if it throws. They become visible again after the visibility timeout.
 */
async function deliverAll(
  { bucket, startLoad, onFault }: LocalEntrancesOptions,
  messages: readonly Message[],
): Promise<number> {
  const event = { Records: messages.map((message) => toRecord(bucket, message)) };
  let failures: readonly { itemIdentifier: string }[];
  try {
    const answer = (await invokeLambda(startLoad, event)) as { batchItemFailures?: typeof failures } | null;
    failures = answer?.batchItemFailures ?? [];
  } catch (error) {
    onFault?.(error);
    return messages.length;
  }
  const failed = new Set(failures.map((failure) => failure.itemIdentifier));
  const taken = messages.filter((message) => !failed.has(message.MessageId));
  const remove = (message: Message): Promise<unknown> =>
    bucket.sqs("DeleteMessage", { QueueUrl: bucket.arrivals.url, ReceiptHandle: message.ReceiptHandle });
  await Promise.all(taken.map(remove));
  return failed.size;
}

function toRecord(bucket: LocalBucket, message: Message): object {
  return {
    messageId: message.MessageId,
    receiptHandle: message.ReceiptHandle,
    body: message.Body,
    attributes: message.Attributes ?? {},
    messageAttributes: {},
    md5OfBody: message.MD5OfBody,
    eventSource: "aws:sqs",
    eventSourceARN: bucket.arrivals.arn,
    awsRegion: bucket.region,
  };
}

type SweepTimerOptions = {
  readonly sweep: LambdaFunction;
  readonly everySeconds: number;
  readonly onFault: (error: unknown) => void;
};

/** Calls sweep at an interval, which begins when the last one has ended. */
export function openSweepTimer(options: SweepTimerOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const running = sweepUntil(stop.signal, options);
  return {
    close() {
      stop.abort();
      return Promise.race([running, pause(localCloseSeconds * 1000, undefined, { ref: false })]);
    },
  };
}

async function sweepUntil(signal: AbortSignal, { sweep, everySeconds, onFault }: SweepTimerOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      await pause(everySeconds * 1_000, undefined, { signal });
      await invokeLambda(sweep, { source: "aws.events", "detail-type": "Scheduled Event", time: new Date() });
    } catch (error) {
      if (!signal.aborted) onFault(error);
    }
  }
}
