import { Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, test } from "vitest";
import { taskStates } from "../../lib/core/machine.ts";
import { nodeOptionsOf } from "../../lib/infra/loader-function.ts";
import type { CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import { loaderFunctions, resourcesOf, synthesizeApp } from "./support/synthesize.ts";

let pipeline: CloudTemplate;

beforeAll(() => {
  pipeline = synthesizeApp().pipeline;
});

const properties = (type: string) => resourcesOf(pipeline, type).map(([, { Properties }]) => Properties ?? {});

/** Rules for the events of one source. */
const rulesOf = (source: string) =>
  properties("AWS::Events::Rule").filter(({ EventPattern }) =>
    (EventPattern as { source?: string[] } | undefined)?.source?.includes(source),
  );

const plainConnection = JSON.stringify({ Bool: { "aws:SecureTransport": "false" } });

const deniesPlainConnections = (policies: Record<string, unknown>[]) =>
  policies.filter(({ PolicyDocument }) =>
    (PolicyDocument as { Statement: Record<string, unknown>[] }).Statement.some(
      ({ Effect, Condition }) => Effect === "Deny" && JSON.stringify(Condition) === plainConnection,
    ),
  );

describe("the pipeline stack", () => {
  test("has no cycle and one state machine", () => {
    Template.fromJSON(pipeline as never).resourceCountIs("AWS::StepFunctions::StateMachine", 1);
  });

  test("keeps fragments versioned, encrypted, private, over TLS only, with an access log, for ever", () => {
    const buckets = resourcesOf(pipeline, "AWS::S3::Bucket");
    expect(buckets).toHaveLength(2);
    for (const [id, { Properties, DeletionPolicy }] of buckets) {
      // a first deployment that fails takes the fragments' bucket with it, while it is empty, or the next one would fail
      expect(DeletionPolicy, id).toBe(Properties?.BucketName ? "RetainExceptOnCreate" : "Retain");
      expect(Properties?.PublicAccessBlockConfiguration).toEqual({
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      });
    }
    const [fragments] = properties("AWS::S3::Bucket").filter(
      ({ BucketName }) => BucketName === "idhub-curated-fragments",
    );
    expect(fragments).toMatchObject({
      VersioningConfiguration: { Status: "Enabled" },
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
    });
    expect(fragments?.LoggingConfiguration).toBeDefined();
    expect(JSON.stringify(fragments?.BucketEncryption)).toContain("aws:kms");
    expect(properties("AWS::KMS::Key")[0]).toMatchObject({ EnableKeyRotation: true });
    expect(deniesPlainConnections(properties("AWS::S3::BucketPolicy"))).toHaveLength(2);
  });

  test("expires previews, unfinished uploads and old versions, and nothing that was loaded", () => {
    const [fragments] = properties("AWS::S3::Bucket").filter(
      ({ BucketName }) => BucketName === "idhub-curated-fragments",
    );
    expect(fragments?.LifecycleConfiguration).toEqual({
      Rules: [
        {
          Id: "previews",
          Prefix: "previews/",
          Status: "Enabled",
          ExpirationInDays: 7,
          NoncurrentVersionExpiration: { NoncurrentDays: 1 },
        },
        { Id: "multipart", Status: "Enabled", AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } },
        {
          Id: "staging",
          Prefix: "staging/validated/",
          Status: "Enabled",
          ExpiredObjectDeleteMarker: true,
          NoncurrentVersionExpiration: { NoncurrentDays: 30 },
        },
        ...Object.entries({ loaded: 365, failed: 90 }).map(([Id, NoncurrentDays]) => ({
          Id,
          Prefix: `${Id}/`,
          Status: "Enabled",
          Transitions: [{ StorageClass: "INTELLIGENT_TIERING", TransitionInDays: 90 }],
          ExpiredObjectDeleteMarker: true,
          NoncurrentVersionExpiration: { NoncurrentDays },
        })),
      ],
    });
  });

  test("keeps the access log for a year, in a bucket of its own", () => {
    const [accessLog] = properties("AWS::S3::Bucket").filter(({ BucketName }) => BucketName === undefined);
    expect(accessLog?.LifecycleConfiguration).toEqual({
      Rules: [{ Status: "Enabled", ExpirationInDays: 365, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } }],
    });
    expect(JSON.stringify(accessLog?.BucketEncryption)).toContain("AES256");
  });

  test("brings arrivals through a queue that outlives a day, with dead letters for it and for the rule", () => {
    const queues = properties("AWS::SQS::Queue");
    expect(queues).toHaveLength(3);
    for (const queue of queues) expect(queue.SqsManagedSseEnabled).toBe(true);
    expect(deniesPlainConnections(properties("AWS::SQS::QueuePolicy"))).toHaveLength(3);
    const [arrivals] = queues.filter(({ RedrivePolicy }) => RedrivePolicy !== undefined);
    const { maxReceiveCount = 0 } = (arrivals?.RedrivePolicy ?? {}) as { maxReceiveCount?: number };
    const visibility = arrivals?.VisibilityTimeout as number;
    const startLoad = loaderFunctions(pipeline).get("start-load")?.Properties?.Timeout as number;
    expect(visibility).toBeGreaterThanOrEqual(6 * startLoad);
    expect(visibility * maxReceiveCount).toBeGreaterThanOrEqual(24 * 3600);
    expect(arrivals?.MessageRetentionPeriod).toBeGreaterThan(visibility * maxReceiveCount);
    const [rule] = rulesOf("aws.s3");
    expect(rule?.EventPattern).toMatchObject({
      source: ["aws.s3"],
      "detail-type": ["Object Created"],
      detail: { object: { key: [{ prefix: "staging/validated/" }] } },
    });
    expect(rule?.Targets).toEqual([expect.objectContaining({ DeadLetterConfig: expect.anything() })]);
    expect(properties("AWS::Lambda::EventSourceMapping")[0]).toMatchObject({
      BatchSize: 100,
      FunctionResponseTypes: ["ReportBatchItemFailures"],
    });
  });

  test("sweeps every five minutes, one at a time", () => {
    const [schedule] = properties("AWS::Events::Rule").filter(
      ({ ScheduleExpression }) => ScheduleExpression !== undefined,
    );
    expect(schedule?.ScheduleExpression).toBe("rate(5 minutes)");
    expect(loaderFunctions(pipeline).get("sweep")?.Properties?.ReservedConcurrentExecutions).toBe(1);
  });

  test("K14 sweeps at once when an execution is ended from outside", () => {
    const [schedule] = properties("AWS::Events::Rule").filter(
      ({ ScheduleExpression }) => ScheduleExpression !== undefined,
    );
    const rules = rulesOf("aws.states");
    const details = rules.map(({ EventPattern }) => (EventPattern as { detail: Record<string, unknown> }).detail);
    const [[machine] = []] = resourcesOf(pipeline, "AWS::StepFunctions::StateMachine");
    const stateMachineArn = [{ Ref: machine }];
    expect(details).toEqual([
      { stateMachineArn, status: ["ABORTED", "TIMED_OUT"] },
      { stateMachineArn, status: ["FAILED"], error: [{ prefix: "States." }] },
    ]);
    for (const { EventPattern, Targets } of rules) {
      expect(EventPattern).toMatchObject({ "detail-type": ["Step Functions Execution Status Change"] });
      expect(Targets).toEqual(schedule?.Targets);
    }
  });

  test("has a function per handler: Node 24 on arm64, traced, with a log group that ends", () => {
    const functions = loaderFunctions(pipeline);
    expect([...functions.keys()].toSorted()).toEqual(
      [...Object.values(taskStates), "start-load", "sweep", "operate", "migrate"].toSorted(),
    );
    for (const [name, { Properties }] of functions) {
      expect(Properties, name).toMatchObject({
        Runtime: "nodejs24.x",
        Architectures: ["arm64"],
        TracingConfig: { Mode: "Active" },
      });
      expect(Properties?.LoggingConfig).toBeDefined();
      const environment = Properties?.Environment as { Variables: Record<string, unknown> };
      expect(environment.Variables.POWERTOOLS_SERVICE_NAME).toBe("table-loader");
      expect(environment.Variables.NODE_OPTIONS, name).toBe(nodeOptionsOf(Properties?.MemorySize as number));
      expect(Properties?.VpcConfig !== undefined, name).toBe(name !== "start-load");
    }
    for (const group of properties("AWS::Logs::LogGroup")) expect(group.RetentionInDays).toBeDefined();
  });

  test("migrates before new code runs", () => {
    const [[trigger] = []] = resourcesOf(pipeline, "Custom::Trigger");
    const waits = (type: string) =>
      resourcesOf(pipeline, type).filter(([, { DependsOn }]) => [DependsOn].flat().includes(trigger));
    expect(waits("AWS::StepFunctions::StateMachine")).toHaveLength(1);
    expect(waits("AWS::Events::Rule")).toHaveLength(4);
    expect(waits("AWS::Lambda::Alias")).toHaveLength(2);
  });

  test("raises its alarms, each with its entry in the runbook, and says when they are over", () => {
    const alarms = properties("AWS::CloudWatch::Alarm");
    expect(alarms.map(({ AlarmDescription }) => String(AlarmDescription).replace(/^.*#/, "")).toSorted()).toEqual([
      ...["blocked-loads", "database-connections", "dead-letters", "failed-executions", "failure-rate"],
      ...["invalid-contracts", "memory", "silent-sweep", "stalled-loads"],
    ]);
    const [[topic] = []] = resourcesOf(pipeline, "AWS::SNS::Topic");
    for (const { AlarmActions, OKActions, ActionsEnabled } of alarms) {
      expect({ AlarmActions, OKActions, ActionsEnabled }).toEqual({
        AlarmActions: [{ Ref: topic }],
        OKActions: [{ Ref: topic }],
        ActionsEnabled: true,
      });
    }
    expect(properties("AWS::SNS::Topic")[0]?.KmsMasterKeyId).toBeDefined();
  });

  test("logs the machine without its data", () => {
    expect(properties("AWS::StepFunctions::StateMachine")[0]).toMatchObject({
      LoggingConfiguration: { IncludeExecutionData: false, Level: "ALL" },
      TracingConfiguration: { Enabled: true },
    });
  });
});
