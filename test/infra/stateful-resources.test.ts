import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import { synthesizeApp } from "./support/synthesize.ts";

/**
 * What holds data, or a name that others know, must never be made anew by an upgrade. CloudFormation does so when the
 * logical id changes (a construct was renamed or moved) or one of these properties does.
 */
const replacing: Readonly<Record<string, readonly string[]>> = {
  "AWS::S3::Bucket": ["BucketName"],
  "AWS::KMS::Key": ["KeySpec", "KeyUsage", "MultiRegion"],
  "AWS::RDS::DBInstance": [
    ...["DBInstanceIdentifier", "DBName", "Engine", "MasterUsername", "StorageEncrypted", "KmsKeyId"],
    ...["DBSubnetGroupName", "AvailabilityZone", "CharacterSetName", "DBSnapshotIdentifier"],
  ],
  "AWS::RDS::DBSubnetGroup": ["DBSubnetGroupName"],
  "AWS::RDS::DBParameterGroup": ["DBParameterGroupName", "Family", "Description"],
  "AWS::EC2::VPC": ["CidrBlock", "Ipv4IpamPoolId"],
  "AWS::EC2::Subnet": ["CidrBlock", "AvailabilityZone", "VpcId"],
  "AWS::Logs::LogGroup": ["LogGroupName"],
  "AWS::SNS::Topic": ["TopicName", "FifoTopic"],
  "AWS::SQS::Queue": ["QueueName", "FifoQueue"],
  "AWS::StepFunctions::StateMachine": ["StateMachineName", "StateMachineType"],
};

type Kept = { readonly Type: string; readonly [property: string]: unknown };
/** By stage, stack and logical id. */
type Snapshot = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, Kept>>>>>>;

const file = fileURLToPath(new URL("./stateful-resources.json", import.meta.url));
const toUpdate = "UPDATE_STATEFUL=1 npx vitest run --project infra test/infra/stateful-resources.test.ts";

function stateful(template: CloudTemplate): Record<string, Kept> {
  const kept = Object.entries(template.Resources).flatMap(([id, { Type, Properties = {} }]) => {
    const names = replacing[Type]?.filter((name) => Properties[name] !== undefined);
    return names ? [[id, { Type, ...Object.fromEntries(names.map((name) => [name, Properties[name]])) }] as const] : [];
  });
  return Object.fromEntries(kept.toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

function synthesized(stage: string): Snapshot[string] {
  const { pipeline, database } = synthesizeApp({ stage });
  return { TableLoader: stateful(pipeline), TableLoaderDatabase: stateful(database as CloudTemplate) };
}

/** What a deployment over the one of the snapshot would do to what it holds. */
function damage(before: Record<string, Kept>, after: Record<string, Kept>): string[] {
  const gone = Object.entries(before)
    .filter(([id]) => !(id in after))
    .map(([id, { Type }]) => `${id} (${Type}) is gone: it would be deleted or left behind, its data with it`);
  const added = Object.keys(after)
    .filter((id) => !(id in before))
    .map((id) => `${id} (${after[id]?.Type}) is new: an empty one would be made; nothing guards it yet`);
  const changed = Object.entries(before).flatMap(([id, kept]) => {
    const now = after[id];
    if (now === undefined) return [];
    const names = new Set([...Object.keys(kept), ...Object.keys(now)]);
    return [...names]
      .filter((name) => JSON.stringify(kept[name]) !== JSON.stringify(now[name]))
      .map((name) => {
        const [was, is] = [JSON.stringify(kept[name]), JSON.stringify(now[name])];
        return `${id} (${kept.Type}): ${name} was ${was}, is ${is}: an empty one would take its place`;
      });
  });
  return [...gone, ...added, ...changed];
}

describe.each(["dev", "prod"])("an upgrade in stage %s", (stage) => {
  test("replaces nothing that holds data or a name", () => {
    const after = synthesized(stage);
    if (process.env.UPDATE_STATEFUL) {
      const others = JSON.parse(readFileSync(file, "utf8")) as Snapshot;
      writeFileSync(file, `${JSON.stringify({ ...others, [stage]: after }, null, 2)}\n`);
    }
    const before = (JSON.parse(readFileSync(file, "utf8")) as Snapshot)[stage] ?? {};
    const found = Object.entries(after).flatMap(([stack, kept]) =>
      damage(before[stack] ?? {}, kept).map((text) => `${stack}: ${text}`),
    );
    expect(found, `if that is meant, and data has been moved: ${toUpdate}, and say so in the changelog`).toEqual([]);
  });
});

test("a change from stage dev to prod replaces nothing, either", () => {
  const snapshot = JSON.parse(readFileSync(file, "utf8")) as Snapshot;
  for (const [stack, kept] of Object.entries(snapshot.dev ?? {}))
    expect(damage(kept, snapshot.prod?.[stack] ?? {}), stack).toEqual([]);
});

describe("the comparison", () => {
  const bucket = { Type: "AWS::S3::Bucket", BucketName: "a" };

  test("sees what is gone, new and changed", () => {
    expect(damage({ One: bucket }, { Two: bucket })).toEqual([
      "One (AWS::S3::Bucket) is gone: it would be deleted or left behind, its data with it",
      "Two (AWS::S3::Bucket) is new: an empty one would be made; nothing guards it yet",
    ]);
    expect(damage({ One: bucket }, { One: { ...bucket, BucketName: "b" } })).toEqual([
      'One (AWS::S3::Bucket): BucketName was "a", is "b": an empty one would take its place',
    ]);
    expect(damage({ One: bucket }, { One: bucket })).toEqual([]);
  });

  test("covers every kind of resource that is kept when a stack is deleted", () => {
    const { pipeline, database } = synthesizeApp({ stage: "prod" });
    const resources = [pipeline, database as CloudTemplate].flatMap((template) => Object.values(template.Resources));
    const kept = resources.filter(({ DeletionPolicy }) => /Retain|Snapshot/.test(String(DeletionPolicy)));
    const unguarded = new Set(kept.map(({ Type }) => Type).filter((type) => !(type in replacing)));
    // Published versions of functions, which running executions still name.
    expect([...unguarded]).toEqual(["AWS::Lambda::Version"]);
  });
});
