import { PutRolePolicyCommand, UpdateAssumeRolePolicyCommand } from "@aws-sdk/client-iam";
import { UpdateFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { CreateSecretCommand, GetSecretValueCommand, PutSecretValueCommand } from "@aws-sdk/client-secrets-manager";
import { DescribeExecutionCommand, StopExecutionCommand, UpdateStateMachineCommand } from "@aws-sdk/client-sfn";
import { PurgeQueueCommand, SendMessageCommand } from "@aws-sdk/client-sqs";
import { AssumeRoleCommand, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { functionSizes, type HandlerName } from "../../lib/infra/capacity.ts";
import { bucketPermissions, startsExecutions } from "../../lib/infra/permissions.ts";
import type { CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import { type Role, rolesOf } from "../infra/support/policies.ts";
import { loaderFunctions, resourcesOf } from "../infra/support/synthesize.ts";
import { assumeRole, isLetPass } from "./assumed-role.ts";
import { type Clients, openClients } from "./clients.ts";
import { account, region } from "./emulator.ts";
import { openPipeline } from "./pipeline.ts";
import { deployedTemplate, physicalIds } from "./template.ts";

/** X09: what each function's role may do, asked of the emulator's IAM, which has to say what the policies say. */

const deployed = inject("deployed");
const { BucketName: Bucket, StateMachineArn, ArrivalsQueueUrl, DeadLetterQueueUrl } = deployed.outputs;
const pipeline = openPipeline(deployed);
const root = pipeline.clients;

/** No batch has this id, so that what is put there starts nothing. */
const probes = [
  "staging/validated/iam/blood.json",
  "loaded/iam/blood.json",
  "loaded/iam/load_result.json",
  "failed/iam/blood.json",
  "previews/iam/run.json",
  "config/tables.json",
  "config/other.json",
  "staging/raw/blood.json",
  "private/blood.json",
];
const own = probes.filter((key) => key !== "config/tables.json");

let template: CloudTemplate;
let ids: Map<string, string>;
let otherSecret: string;

beforeAll(async () => {
  template = await deployedTemplate(root);
  ids = await physicalIds(root);
  for (const key of own) await pipeline.put(key, "[]");
  const secret = await root.secrets.send(new CreateSecretCommand({ Name: "somebody-elses", SecretString: "{}" }));
  otherSecret = secret.ARN ?? "";
});

afterAll(async () => {
  for (const Key of own) await root.s3.send(new DeleteObjectCommand({ Bucket, Key }));
  await pipeline.close();
});

type Actor = { readonly handler: HandlerName; readonly role: Role; readonly roleName: string; readonly as: Clients };

/** A function's role: as the template describes it, and as the emulator knows it. */
async function actorOf(handler: HandlerName): Promise<Actor> {
  const lambda = loaderFunctions(template).get(handler);
  const { "Fn::GetAtt": [roleId] = [] } = (lambda?.Properties?.Role ?? {}) as { "Fn::GetAtt"?: string[] };
  const role = rolesOf(template).find(({ id }) => id === roleId);
  const roleName = ids.get(roleId ?? "");
  if (role === undefined || roleName === undefined) throw new Error(`${handler}: expected a role, got none`);
  return { handler, role, roleName, as: await assumeRole(deployed.emulator, root, roleName) };
}

const bucketId = (): string =>
  resourcesOf(template, "AWS::S3::Bucket").find(([, { Properties }]) => Properties?.BucketName)?.[0] ?? "";

const requests = {
  "s3:GetObject": (s3: Clients["s3"], Key: string) => s3.send(new GetObjectCommand({ Bucket, Key })),
  "s3:PutObject": (s3: Clients["s3"], Key: string) => s3.send(new PutObjectCommand({ Bucket, Key, Body: "[]" })),
  "s3:DeleteObject": (s3: Clients["s3"], Key: string) => s3.send(new DeleteObjectCommand({ Bucket, Key })),
} as const;

/** Every request that the emulator decides otherwise than the template says. */
async function surprises({ role, as }: Actor): Promise<string[]> {
  const found: string[] = [];
  for (const [action, request] of Object.entries(requests)) {
    for (const key of probes) {
      const passed = await isLetPass(() => request(as.s3, key));
      if (passed !== role.may(action, `${bucketId()}/${key}`)) found.push(`${action} ${key}: ${passed}`);
    }
  }
  return found;
}

const handlers = Object.keys(bucketPermissions) as HandlerName[];

describe.each(handlers)("the role of %s", (handler) => {
  let actor: Actor;
  beforeAll(async () => {
    actor = await actorOf(handler);
  });

  test("reads, writes and deletes in the bucket what its policy says, and nothing else", async () => {
    for (const key of own) await pipeline.put(key, "[]");
    expect(await surprises(actor)).toEqual([]);
  });

  test("lists the bucket, reads its own secret and watches executions only where it has to", async () => {
    const { s3, secrets, sfn } = actor.as;
    const execution = `arn:aws:states:${region}:${account}:execution:LoadBatch:nobody`;
    const passed = {
      list: await isLetPass(() => s3.send(new ListObjectsV2Command({ Bucket }))),
      ownersSecret: await isLetPass(() => secrets.send(new GetSecretValueCommand({ SecretId: deployed.secretArn }))),
      loadersSecret: await isLetPass(() =>
        secrets.send(new GetSecretValueCommand({ SecretId: deployed.loaderSecretArn })),
      ),
      executions: await isLetPass(() => sfn.send(new DescribeExecutionCommand({ executionArn: execution }))),
      letters: await isLetPass(() =>
        actor.as.sqs.send(new SendMessageCommand({ QueueUrl: ArrivalsQueueUrl, MessageBody: "{}" })),
      ),
    };
    const { list = false } = bucketPermissions[handler];
    expect(passed).toEqual({
      list,
      // it makes the loader's role with the loader's password
      ownersSecret: handler === "migrate",
      loadersSecret: functionSizes[handler].connections !== null,
      executions: startsExecutions[handler],
      letters: false,
    });
  });

  test("is refused other secrets, and every change of policies, roles, code, machine and queues", async () => {
    const { s3, secrets, sfn, sqs, iam, lambda, sts } = actor.as;
    const RoleName = actor.roleName;
    const document = JSON.stringify({ Version: "2012-10-17", Statement: [] });
    const functionName = ids.get([...ids.keys()].find((id) => id.startsWith("FunctionsOperateFunction")) ?? "");
    const forbidden: Readonly<Record<string, () => Promise<unknown>>> = {
      "read another secret": () => secrets.send(new GetSecretValueCommand({ SecretId: otherSecret })),
      "change the secret": () =>
        secrets.send(new PutSecretValueCommand({ SecretId: deployed.loaderSecretArn, SecretString: "{}" })),
      "change the bucket's policy": () => s3.send(new PutBucketPolicyCommand({ Bucket, Policy: document })),
      "change its own policy": () =>
        iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: "more", PolicyDocument: document })),
      "change whom it trusts": () =>
        iam.send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: document })),
      "become another role": () =>
        sts.send(
          new AssumeRoleCommand({
            RoleArn: `arn:aws:iam::${account}:role/cdk-hnb659fds-deploy-role-${account}-${region}`,
            RoleSessionName: "test",
          }),
        ),
      "change a function": () =>
        lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: functionName, Timeout: 3 })),
      "change the machine": () =>
        sfn.send(new UpdateStateMachineCommand({ stateMachineArn: StateMachineArn, definition: "{}" })),
      "stop an execution": () =>
        sfn.send(
          new StopExecutionCommand({ executionArn: `arn:aws:states:${region}:${account}:execution:LoadBatch:nobody` }),
        ),
      "empty the dead letters": () => sqs.send(new PurgeQueueCommand({ QueueUrl: DeadLetterQueueUrl })),
    };
    const allowed: string[] = [];
    for (const [what, request] of Object.entries(forbidden)) if (await isLetPass(request)) allowed.push(what);
    expect(allowed).toEqual([]);
  });
});

test("nobody is let in with credentials that were never given out", async () => {
  const stranger = openClients(deployed.emulator, { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" });
  await expect(stranger.sts.send(new GetCallerIdentityCommand({}))).rejects.toThrow(/token|credential|access key/i);
});
