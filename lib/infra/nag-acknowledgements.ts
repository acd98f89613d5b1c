import { Stack, Validations } from "aws-cdk-lib";
import type { CfnFunction } from "aws-cdk-lib/aws-lambda";
import type { CfnBucket } from "aws-cdk-lib/aws-s3";
import type { IConstruct } from "constructs";
import { machineName, type TaskState, taskStates } from "../core/machine.ts";
import type { HandlerName } from "./capacity.ts";
import type { Entrances } from "./entrances.ts";
import type { LoadMachine } from "./load-machine.ts";
import type { LoaderFunctions } from "./loader-functions.ts";
import { archivePatterns, bucketPermissions, type KeyPattern, startsExecutions } from "./permissions.ts";
import type { Storage } from "./storage.ts";

/** Every finding of cdk-nag that is accepted, with its reason. */

type Pipeline = {
  readonly stack: Stack;
  readonly storage: Storage;
  readonly functions: LoaderFunctions;
  readonly machine: LoadMachine;
  readonly entrances: Entrances;
};

export function acknowledgePipeline(pipeline: Pipeline): void {
  acknowledgeSubnets(pipeline.stack);
  const { functions, machine, entrances, stack } = pipeline;
  for (const [handler, loader] of Object.entries(functions.byHandler)) {
    acknowledge(
      loader.role,
      "IAM5[Resource::*]",
      "X-Ray and network interfaces know no narrower resource; see permissions",
    );
    acknowledgeKeys(pipeline, handler as HandlerName);
    if (!startsExecutions[handler as HandlerName]) continue;
    const executions = `arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:${machineName}:*`;
    acknowledge(loader.role, `IAM5[Resource::${executions}]`, "the executions of this machine, named when they start");
  }
  acknowledgeMachine(machine, functions);
  acknowledge(
    entrances.undelivered,
    "SQS3",
    "it is the dead-letter queue of the rule, which the check does not look at",
  );
  // The provider of AwsCustomResource, a singleton of the CDK; storage.ts states its permissions beyond logs.
  const provider = stack.node.children.find((child) => child.node.id.startsWith("AWS679f53fac002430cb0da5b7982bd2287"));
  if (provider === undefined) throw new Error("nag: provider of AwsCustomResource, got none; correct its id here");
  const basicExecution = "arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
  acknowledge(
    provider,
    `IAM4[Policy::${basicExecution}]`,
    "the CDK's own provider writes its logs, and nothing else by it",
  );
}

function acknowledgeSubnets(stack: Stack): void {
  const id = "Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId";
  Validations.of(stack).acknowledge({ id, reason: "functions sit in them, their routes stay unread" });
}

/** Accepts the findings about a new database. */
export function acknowledgeDatabase(instance: IConstruct, prod: boolean): void {
  acknowledgeSubnets(Stack.of(instance));
  acknowledge(instance, "RDS11", "no route leads to the port but from the functions; clients expect PostgreSQL's own");
  if (!prod) acknowledge(instance, "RDS3", "stage dev saves the standby; prod has one");
}

function acknowledgeKeys({ stack, storage, functions }: Pipeline, handler: HandlerName): void {
  const { read = [], write = [], remove = [], abandon = [] } = bucketPermissions[handler];
  const bucket = stack.getLogicalId(storage.bucket.node.defaultChild as CfnBucket);
  for (const name of new Set<KeyPattern>([...read, ...write, ...remove, ...abandon])) {
    const pattern = archivePatterns[name];
    if (!pattern.includes("*")) continue;
    const reason = `the keys of ${name}: batches and fragments are named by those who deliver them`;
    acknowledge(functions.byHandler[handler].role, `IAM5[Resource::<${bucket}.Arn>/${pattern}]`, reason);
  }
}

function acknowledgeMachine(machine: LoadMachine, functions: LoaderFunctions): void {
  const role = machine.stateMachine.role;
  acknowledge(role, "IAM5[Resource::*]", "log deliveries and X-Ray know no narrower resource");
  for (const state of Object.keys(taskStates) as TaskState[]) {
    const cfnFunction = functions.ofState(state).function.node.defaultChild as CfnFunction;
    const versions = `<${Stack.of(cfnFunction).getLogicalId(cfnFunction)}.Arn>:*`;
    acknowledge(
      role,
      `IAM5[Resource::${versions}]`,
      "all versions: an execution ends with the one with which it began",
    );
  }
}

function acknowledge(scope: IConstruct, finding: string, reason: string): void {
  Validations.of(scope).acknowledge({ id: `AwsSolutions::AwsSolutions-${finding}`, reason });
}
