import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, Stack } from "aws-cdk-lib";
import { type IVersion, Version } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Topic } from "aws-cdk-lib/aws-sns";
import { type TaskState, taskStates } from "../core/machine.ts";
import { LoadMachine } from "./load-machine.ts";

const account = "000000000000";
const region = "us-east-1";

/**
 * The Amazon States Language of LoadBatch, made from the construct that is deployed, with placeholder ARNs for functions
 * and topic. It needs neither the handlers' files nor credentials.
 */
export function synthesizeMachine(): { definition: unknown } {
  const outdir = mkdtempSync(join(tmpdir(), "load-batch-"));
  try {
    const app = new App({ outdir, analyticsReporting: false });
    const stack = new Stack(app, "Machine", { env: { account, region } });
    new LoadMachine(stack, "LoadBatch", {
      handlers: placeholderHandlers(stack),
      topic: Topic.fromTopicArn(stack, "Topic", `arn:aws:sns:${region}:${account}:TableLoader`),
      logGroup: LogGroup.fromLogGroupName(stack, "Logs", "LoadBatch"),
    });
    const template = app.synth().getStackByName("Machine").template as CloudTemplate;
    return { definition: machineDefinition(template) };
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

function placeholderHandlers(stack: Stack): Record<TaskState, IVersion> {
  const handler = (state: string) =>
    Version.fromVersionArn(stack, `${state}Handler`, `arn:aws:lambda:${region}:${account}:function:${state}:1`);
  const handlers = Object.keys(taskStates).map((state) => [state, handler(state)]);
  return Object.fromEntries(handlers) as Record<TaskState, IVersion>;
}

export type CloudResource = {
  readonly Type: string;
  readonly Properties?: { readonly DefinitionString?: unknown; readonly [property: string]: unknown };
  readonly [attribute: string]: unknown;
};

export type CloudTemplate = { readonly Resources: Readonly<Record<string, CloudResource>> };

const pseudoParameters: Readonly<Record<string, string>> = {
  "AWS::Partition": "aws",
  "AWS::Region": region,
  "AWS::AccountId": account,
  "AWS::URLSuffix": "amazonaws.com",
};

const services: Readonly<Record<string, string>> = {
  "AWS::Lambda::Function": `lambda:${region}:${account}:function`,
  "AWS::Lambda::Version": `lambda:${region}:${account}:function`,
  "AWS::SNS::Topic": `sns:${region}:${account}`,
};

/**
 * The definition of a template's only state machine, with every reference resolved to plain text.
 *
 * @throws Error if the template has none or several
 */
export function machineDefinition(template: CloudTemplate): unknown {
  const machines = Object.values(template.Resources).filter(({ Type }) => Type === "AWS::StepFunctions::StateMachine");
  const [machine] = machines;
  if (machine === undefined || machines.length > 1) {
    throw new Error(
      `template: state machines, got ${machines.length}, expected 1; give the stack that holds LoadBatch`,
    );
  }
  return JSON.parse(resolveText(template, machine.Properties?.DefinitionString));
}

/** A value of a template as plain text, with made-up ids; it may be a text, Ref, Fn::GetAtt or Fn::Join. */
export function resolveText(template: CloudTemplate, value: unknown): string {
  if (typeof value === "string") return value;
  const [intrinsic, operand] = Object.entries(value as Record<string, unknown>)[0] ?? [];
  if (intrinsic === "Ref") return reference(template, operand as string);
  if (intrinsic === "Fn::GetAtt") return reference(template, (operand as string[])[0] as string);
  if (intrinsic === "Fn::Join") {
    const [separator, parts] = operand as [string, unknown[]];
    return parts.map((part) => resolveText(template, part)).join(separator);
  }
  throw new Error(`template: value, got ${JSON.stringify(value)}, expected text, Ref, Fn::GetAtt or Fn::Join`);
}

function reference(template: CloudTemplate, logicalId: string): string {
  const service = services[template.Resources[logicalId]?.Type ?? ""];
  return pseudoParameters[logicalId] ?? (service === undefined ? logicalId : `arn:aws:${service}:${logicalId}`);
}
