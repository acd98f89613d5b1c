import { Duration } from "aws-cdk-lib";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction, SqsQueue } from "aws-cdk-lib/aws-events-targets";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import type { IBucket } from "aws-cdk-lib/aws-s3";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { arrivalVisibilityMinutes, sweepIntervalMinutes } from "../core/durations.ts";
import { stagingPrefix } from "../core/keys.ts";
import type { LoaderFunction } from "./loader-function.ts";

type EntrancesProps = {
  readonly bucket: IBucket;
  readonly startLoad: LoaderFunction;
  readonly sweep: LoaderFunction;
  readonly stateMachineArn: string;
};

/** Six minutes, 300 times (30 hours): a message survives a day in which no execution can be started. */
const visibility = Duration.minutes(arrivalVisibilityMinutes);
const mostReceives = 300;

/** The automatic starts of loads: arrivals through a queue, and the sweep for arrivals whose event was lost. */
export class Entrances extends Construct {
  readonly queue: Queue;
  /** Messages that start-load could not use, or gave back 300 times. */
  readonly deadLetters: Queue;
  /** Events that EventBridge could not deliver. */
  readonly undelivered: Queue;

  constructor(scope: Construct, id: string, props: EntrancesProps) {
    super(scope, id);
    this.deadLetters = lastingQueue(this, "DeadLetters");
    this.undelivered = lastingQueue(this, "Undelivered");
    this.queue = new Queue(this, "Arrivals", {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      visibilityTimeout: visibility,
      retentionPeriod: Duration.days(4),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: mostReceives },
    });
    this.arrivals(props.bucket);
    this.startLoads(props.startLoad);
    this.sweeps(props);
  }

  /**
   * Gives operate the names of the queues for doctor. The CLI asks the queues itself, with the permissions of its user
   * (`sqs:GetQueueAttributes`): the database's network has no endpoint of SQS, which would cost more than it is worth.
   */
  nameQueues(operate: LoaderFunction): void {
    operate.function.addEnvironment("ARRIVALS_QUEUE_URL", this.queue.queueUrl);
    operate.function.addEnvironment("DEAD_LETTER_QUEUE_URL", this.deadLetters.queueUrl);
    operate.function.addEnvironment("UNDELIVERED_QUEUE_URL", this.undelivered.queueUrl);
  }

  private arrivals(bucket: IBucket): void {
    new Rule(this, "ObjectCreated", {
      description: "Fragments that arrive below staging/validated/",
      eventPattern: {
        source: ["aws.s3"],
        detailType: ["Object Created"],
        detail: { bucket: { name: [bucket.bucketName] }, object: { key: [{ prefix: stagingPrefix }] } },
      },
      targets: [new SqsQueue(this.queue, { deadLetterQueue: this.undelivered })],
    });
  }

  private startLoads(startLoad: LoaderFunction): void {
    startLoad.function.addEnvironment("DEAD_LETTER_QUEUE_URL", this.deadLetters.queueUrl);
    startLoad.allow(["sqs:SendMessage"], [this.deadLetters.queueArn]);
    startLoad.live().addEventSource(
      new SqsEventSource(this.queue, {
        batchSize: 100,
        maxBatchingWindow: Duration.seconds(5),
        reportBatchItemFailures: true,
        maxConcurrency: 5,
      }),
    );
  }

  private sweeps({ sweep, stateMachineArn }: EntrancesProps): void {
    // The next sweep comes by itself; a late or repeated one would only compete with it.
    const target = new LambdaFunction(sweep.live() as IFunction, {
      retryAttempts: 0,
      maxEventAge: Duration.minutes(sweepIntervalMinutes - 1),
    });
    new Rule(this, "EveryFiveMinutes", {
      description: "Heals what no event told",
      schedule: Schedule.rate(Duration.minutes(sweepIntervalMinutes)),
      targets: [target],
    });
    const ended = (id: string, description: string, detail: object) =>
      new Rule(this, id, {
        description,
        eventPattern: {
          source: ["aws.states"],
          detailType: ["Step Functions Execution Status Change"],
          detail: { stateMachineArn: [stateMachineArn], ...detail },
        },
        targets: [target],
      });
    ended("ExecutionStopped", "An execution that was ended from outside: its batch ends, too", {
      status: ["ABORTED", "TIMED_OUT"],
    });
    ended("ExecutionBroken", "An execution that Step Functions itself ended", {
      status: ["FAILED"],
      error: [{ prefix: "States." }],
    });
  }
}

function lastingQueue(scope: Construct, id: string): Queue {
  return new Queue(scope, id, {
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: Duration.days(14),
  });
}
