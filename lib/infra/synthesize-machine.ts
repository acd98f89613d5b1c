import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, Stack } from "aws-cdk-lib";
import { Version } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Topic } from "aws-cdk-lib/aws-sns";
import { type TaskState, taskStates } from "../core/machine.ts";
import { LoadMachine } from "./load-machine.ts";
import { type CloudTemplate, machineDefinition } from "./template.ts";

const account = "000000000000";
const region = "us-east-1";

/**
 * The Amazon States Language of LoadBatch, from the construct that is deployed, with placeholder ARNs in the place of
 * the functions and the topic. It needs neither the handlers' files nor credentials.
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

function placeholderHandlers(stack: Stack): Record<TaskState, ReturnType<typeof Version.fromVersionArn>> {
  const handler = (state: string) =>
    Version.fromVersionArn(stack, `${state}Handler`, `arn:aws:lambda:${region}:${account}:function:${state}:1`);
  return Object.fromEntries(Object.keys(taskStates).map((state) => [state, handler(state)])) as Record<
    TaskState,
    ReturnType<typeof handler>
  >;
}
