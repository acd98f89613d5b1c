import { execFile } from "node:child_process";
import { cp, readFile, symlink } from "node:fs/promises";
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

/**
 * @param name of the assembly's folder
 * @param project where the app lies
 * @returns the folder
 */
export async function synthesize(at: Cdk, name: string, { context, project = root, stack }: Sources): Promise<string> {
  const assembly = join(at.folder, name);
  const flags = Object.entries(context).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  await cdk(at, ["synth", ...(stack ? [stack] : []), "--quiet", "--output", assembly, ...flags], project);
  return assembly;
}

export type Sources = {
  readonly context: Context;
  /** @default this project */
  readonly project?: string;
  /** The only one whose code is bundled. @default all */
  readonly stack?: string;
};

export async function deploy(at: Cdk, assembly: string): Promise<StackOutputs> {
  return (await deployStack(at, assembly, stackName)) as StackOutputs;
}

export async function deployStack(at: Cdk, assembly: string, stack: string): Promise<Record<string, string>> {
  const outputsFile = `${assembly}.outputs.json`;
  await cdk(at, ["deploy", stack, "--app", assembly, "--require-approval", "never", "--outputs-file", outputsFile]);
  return JSON.parse(await readFile(outputsFile, "utf8"))[stack] as Record<string, string>;
}

export function destroy(at: Cdk, assembly: string): Promise<string> {
  return cdk(at, ["destroy", stackName, "--force", "--app", assembly]);
}

/** The project once more, with the same packages, for a test to change. */
export async function copyProject(folder: string): Promise<string> {
  const copied = [
    "bin",
    "functions",
    "lib",
    "config",
    "cdk.json",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
  ];
  for (const name of copied) await cp(join(root, name), join(folder, name), { recursive: true });
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}
