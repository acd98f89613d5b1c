import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { account, type EmulatorAddress, region } from "./emulator.ts";

/** The CDK's command line, as somebody uses it who deploys the loader. */

export const stackName = "TableLoader";

export type StackOutputs = Readonly<
  Record<
    | "BucketName"
    | "StateMachineArn"
    | "OperateFunction"
    | "ArrivalsQueueUrl"
    | "DeadLetterQueueUrl"
    | "NoticesTopicArn",
    string
  >
>;

export type Context = Readonly<Record<string, string | number>>;

const root = fileURLToPath(new URL("../../", import.meta.url));
const cdkCli = join(root, "node_modules/aws-cdk/bin/cdk");

/** Where and with what it is run. */
export type Cdk = {
  readonly emulator: EmulatorAddress;
  /** For assemblies and outputs. */
  readonly folder: string;
};

/** @throws Error with everything that it said */
async function cdk({ emulator }: Cdk, args: readonly string[], directory = root): Promise<string> {
  const env = { ...emulator.environment, CI: "true" };
  try {
    const options = { cwd: directory, env, maxBuffer: 2 ** 26 };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [cdkCli, ...args, "--no-notices"], options);
    return stdout + stderr;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`cdk ${args[0]}: ${stdout ?? ""}${stderr ?? ""}`, { cause: error });
  }
}

/** From a folder without an app: the account is prepared for any. */
export function bootstrap(at: Cdk): Promise<string> {
  return cdk(at, ["bootstrap", `aws://${account}/${region}`], at.folder);
}

export type Deployment = {
  readonly outputs: StackOutputs;
  /** Everything that the CDK said. */
  readonly said: string;
  /** The folder of the assembly. */
  readonly assembly: string;
};

/** @param name of the assembly's folder */
export async function deploy(at: Cdk, name: string, context: Context): Promise<Deployment> {
  const assembly = join(at.folder, name);
  const outputsFile = join(at.folder, `${name}.outputs.json`);
  const flags = Object.entries(context).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  const files = ["--output", assembly, "--outputs-file", outputsFile];
  const said = await cdk(at, ["deploy", stackName, "--require-approval", "never", ...files, ...flags]);
  const outputs = JSON.parse(await readFile(outputsFile, "utf8"))[stackName] as StackOutputs;
  return { outputs, said, assembly };
}

export function destroy(at: Cdk, assembly: string): Promise<string> {
  return cdk(at, ["destroy", stackName, "--force", "--app", assembly]);
}
