import { beforeAll, describe, expect, test } from "vitest";
import type { CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import { type Role, rolesOf } from "./support/policies.ts";
import { existingDatabase, resourcesOf, synthesizeApp } from "./support/synthesize.ts";

/** X08, X09: what the template allows, asked one by one as IAM would be asked. */

const apps: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ["dev", {}],
  ["prod", { stage: "prod" }],
  ["existing database", existingDatabase],
];

/** Services that offer nothing narrower for these actions, each with what it is for. */
const everywhere: Readonly<Record<string, string>> = {
  "ec2:CreateNetworkInterface": "a function in a VPC makes its interface",
  "ec2:DescribeNetworkInterfaces": "describing has no resource",
  "ec2:DeleteNetworkInterface": "the interface has no name beforehand",
  "ec2:AssignPrivateIpAddresses": "the interface has no name beforehand",
  "ec2:UnassignPrivateIpAddresses": "the interface has no name beforehand",
  "ec2:DescribeSubnets": "describing has no resource",
  "logs:CreateLogDelivery": "log deliveries have no resource",
  "logs:GetLogDelivery": "log deliveries have no resource",
  "logs:UpdateLogDelivery": "log deliveries have no resource",
  "logs:DeleteLogDelivery": "log deliveries have no resource",
  "logs:ListLogDeliveries": "log deliveries have no resource",
  "logs:PutResourcePolicy": "the account's one policy for log deliveries",
  "logs:DescribeResourcePolicies": "the account's one policy for log deliveries",
  "logs:DescribeLogGroups": "listing has no resource",
  "xray:PutTraceSegments": "traces have no resource",
  "xray:PutTelemetryRecords": "traces have no resource",
  "xray:GetSamplingRules": "sampling rules have no resource",
  "xray:GetSamplingTargets": "sampling rules have no resource",
};

const nobodyMay = [
  "s3:PutBucketPolicy",
  "s3:DeleteBucketPolicy",
  "s3:DeleteBucket",
  "s3:PutBucketVersioning",
  "s3:PutLifecycleConfiguration",
  "s3:PutEncryptionConfiguration",
  "s3:PutBucketPublicAccessBlock",
  "s3:PutObjectAcl",
  "s3:BypassGovernanceRetention",
  "kms:PutKeyPolicy",
  "kms:ScheduleKeyDeletion",
  "kms:CreateGrant",
  "iam:PassRole",
  "iam:PutRolePolicy",
  "iam:AttachRolePolicy",
  "sts:AssumeRole",
  "lambda:UpdateFunctionCode",
  "lambda:UpdateFunctionConfiguration",
  "lambda:AddPermission",
  "states:UpdateStateMachine",
  "states:StopExecution",
  "sqs:SetQueueAttributes",
  "sqs:PurgeQueue",
  "rds:ModifyDBInstance",
  "rds:DeleteDBInstance",
  "secretsmanager:PutSecretValue",
  "logs:DeleteLogGroup",
];

describe.each(apps)("X09: the roles of %s", (_, context) => {
  let template: CloudTemplate;
  let roles: Role[];
  let bucket: string;
  beforeAll(() => {
    template = synthesizeApp(context).pipeline;
    roles = rolesOf(template);
    const named = resourcesOf(template, "AWS::S3::Bucket").find(([, { Properties }]) => Properties?.BucketName);
    bucket = named?.[0] ?? "";
  });

  const key = (name: string): string => `${bucket}/${name}`;
  const handlers = (): Role[] => roles.filter(({ id }) => id.startsWith("Functions"));

  test("name every action, and everything only where nothing narrower is offered", () => {
    expect(handlers()).toHaveLength(11);
    for (const { id, statements, managed } of roles) {
      // the CDK's own providers, which write their logs by it
      if (/^AWS(679f|CDKTrigger)/.test(id))
        expect(managed).toEqual([expect.stringContaining("AWSLambdaBasicExecution")]);
      else expect(managed, id).toEqual([]);
      for (const { Action, Resource } of statements) {
        for (const action of Action) {
          expect(action, id).not.toContain("*");
          if (Resource.includes("*")) expect(Object.keys(everywhere), id).toContain(action);
        }
      }
    }
  });

  test("let nobody delete what was loaded, in any version", () => {
    const archived = ["loaded/b/blood.json", "loaded/b/epoch-2/blood.json", "loaded/b/load_result.json"];
    for (const { id, may } of roles) {
      for (const name of archived) {
        for (const action of ["s3:DeleteObject", "s3:DeleteObjectVersion"]) {
          expect(may(action, key(name)), `${id} ${action} ${name}`).toBe(false);
        }
      }
    }
    expect(roles.some(({ may }) => may("s3:DeleteObjectVersion", key("staging/validated/b/blood.json")))).toBe(true);
  });

  test("let nobody change policies, keys, roles, functions, or what keeps the data", () => {
    const resources = [bucket, key("loaded/b/blood.json"), "*", ...Object.keys(template.Resources)];
    for (const { id, may } of roles) {
      for (const action of nobodyMay) {
        expect(
          resources.filter((resource) => may(action, resource)),
          `${id} ${action}`,
        ).toEqual([]);
      }
    }
  });

  test("reach nothing of the bucket beyond the loader's own prefixes, and no other bucket", () => {
    const strangers = [key("private/x.json"), key("staging/raw/x.json"), key("config/other.json"), key("x.json")];
    const elsewhere = ["arn:aws:s3:::somebody-elses/staging/validated/b/blood.json", "AccessLogs/fragments/x"];
    for (const { id, may } of handlers()) {
      for (const action of ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject"]) {
        for (const object of [...strangers, ...elsewhere]) expect(may(action, object), `${id} ${object}`).toBe(false);
      }
      expect(may("s3:PutObject", key("config/tables.json")), id).toBe(false);
      expect(may("s3:PutObject", key("staging/validated/b/blood.json")), id).toBe(false);
    }
    const readers = handlers().filter(({ may }) => may("s3:GetObject", key("staging/validated/b/blood.json")));
    expect(readers.length).toBeGreaterThan(0);
  });

  test("let only the database's administrator and users of an existing one read its secret", () => {
    const reading = handlers().filter(({ statements }) =>
      statements.some(({ Action }) => Action.includes("secretsmanager:GetSecretValue")),
    );
    const names = reading.map(({ id }) => id.replace(/^Functions|Role[0-9A-F]{8}$/g, "")).toSorted();
    expect(names).toContain("Migrate");
    expect(names).not.toContain("StartLoad");
    if (!("databaseHost" in context)) expect(names).toEqual(["Migrate"]);
  });
});

describe("X08: the template", () => {
  let template: CloudTemplate;
  beforeAll(() => {
    template = synthesizeApp().pipeline;
  });
  const properties = (type: string) => resourcesOf(template, type).map(([, { Properties }]) => Properties ?? {});

  test("encrypts buckets, queues, topics and log groups of the functions", () => {
    const byKind = properties("AWS::S3::Bucket").map(({ BucketEncryption, BucketName }) => {
      const [rule] = (BucketEncryption as { ServerSideEncryptionConfiguration: object[] })
        .ServerSideEncryptionConfiguration;
      return [BucketName ?? "access log", JSON.stringify(rule).includes("aws:kms") ? "KMS" : "SSE-S3"];
    });
    expect(Object.fromEntries(byKind)).toEqual({ "idhub-curated-fragments": "KMS", "access log": "SSE-S3" });
    for (const queue of properties("AWS::SQS::Queue")) expect(queue.SqsManagedSseEnabled).toBe(true);
    for (const topic of properties("AWS::SNS::Topic")) expect(topic.KmsMasterKeyId).toBeDefined();
    const groups = resourcesOf(template, "AWS::Logs::LogGroup").filter(([id]) => id.startsWith("Functions"));
    expect(groups).toHaveLength(11);
    for (const [id, { Properties }] of groups) expect(Properties?.KmsKeyId, id).toBeDefined();
  });

  test("keeps no secret in the environment of a function", () => {
    for (const { Environment } of properties("AWS::Lambda::Function")) {
      const { Variables = {} } = (Environment ?? {}) as { Variables?: Record<string, unknown> };
      expect(Object.keys(Variables).filter((name) => /PASSWORD|TOKEN|_KEY$/.test(name))).toEqual([]);
      for (const value of Object.values(Variables))
        expect(JSON.stringify(value)).not.toContain("resolve:secretsmanager");
    }
  });

  test("has queues and a bucket that nobody enters without TLS, nor anonymously", () => {
    for (const type of ["AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"]) {
      for (const { PolicyDocument } of properties(type)) {
        const { Statement } = PolicyDocument as { Statement: Record<string, unknown>[] };
        for (const { Effect, Principal } of Statement) {
          if (Effect === "Allow") expect(JSON.stringify(Principal)).not.toMatch(/^"\*"$|"AWS":"\*"/);
        }
        const denied = Statement.some(({ Effect, Condition }) => {
          return Effect === "Deny" && JSON.stringify(Condition)?.includes("aws:SecureTransport");
        });
        expect(denied, `${type} ${resolveTextOf(PolicyDocument)}`).toBe(true);
      }
    }
  });

  test("X10: has a database that is encrypted, kept, and entered by TLS alone", () => {
    const database = synthesizeApp({ stage: "prod" }).database as CloudTemplate;
    const [[, instance] = []] = resourcesOf(database, "AWS::RDS::DBInstance");
    expect(instance?.Properties).toMatchObject({
      StorageEncrypted: true,
      DeletionProtection: true,
      PubliclyAccessible: false,
      CopyTagsToSnapshot: true,
      KmsKeyId: expect.anything(),
      DeleteAutomatedBackups: false,
      EnableCloudwatchLogsExports: ["postgresql", "upgrade"],
    });
    for (const name of ["postgresql", "upgrade"]) {
      const groups = resourcesOf(database, "AWS::Logs::LogGroup").map(([, { Properties }]) => Properties);
      const group = groups.find((one) => one?.LogGroupName === `/aws/rds/instance/table-loader/${name}`);
      expect(group, name).toMatchObject({ RetentionInDays: 365, KmsKeyId: expect.anything() });
    }
    expect(instance?.DeletionPolicy).toBe("Snapshot");
    const [[, group] = []] = resourcesOf(database, "AWS::RDS::DBParameterGroup");
    expect(group?.Properties?.Parameters).toMatchObject({ "rds.force_ssl": "1", log_error_verbosity: "terse" });
  });
});

const resolveTextOf = (document: unknown): string => JSON.stringify(document).slice(0, 100);
