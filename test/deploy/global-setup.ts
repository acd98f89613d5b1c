import { readFile } from "node:fs/promises";
import type { TestProject } from "vitest/node";
import { openClients } from "./clients.ts";
import type { EmulatorAddress } from "./emulator.ts";
import { type Context, deploy, type StackOutputs, synthesize } from "./stack.ts";
import { deployedTemplate } from "./template.ts";
import { contextOf, openWorld, type World } from "./world.ts";

/** The stack that the tests of a run share, deployed once; what changes or destroys a stack has a world of its own. */

export type Deployed = {
  readonly emulator: EmulatorAddress;
  /** For assemblies. */
  readonly folder: string;
  readonly context: Context;
  readonly database: { readonly port: number; readonly url: string };
  readonly secretArn: string;
  readonly loaderSecretArn: string;
  readonly outputs: StackOutputs;
  /** JSON text of what CloudFormation had after the first deployment. */
  readonly template: string;
};

declare module "vitest" {
  interface ProvidedContext {
    deployed: Deployed;
  }
}

let world: World | null = null;

export async function setup(project: TestProject): Promise<void> {
  world = await openWorld();
  try {
    const assembly = await synthesize(world, "first", { context: contextOf(world) });
    const deployed = describeDeployed(world, await deploy(world, assembly));
    const template = JSON.stringify(await deployedTemplate(openClients(world.emulator)));
    project.provide("deployed", { ...deployed, template });
  } catch (error) {
    const log = await readFile(world.emulator.logFile, "utf8").catch(() => "");
    console.error(log.slice(-10_000));
    await world.close();
    throw error;
  }
}

export async function teardown(): Promise<void> {
  await world?.close();
}

/** What a test needs of a world and of the stack in it. */
export function describeDeployed(world: World, outputs: StackOutputs): Omit<Deployed, "template"> {
  const { emulator, folder, database, secretArn, loaderSecretArn } = world;
  const { endpoint, caFile, environment, logFile } = emulator;
  const { host, port, user, password, database: name } = database;
  const url = `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${name}`;
  return {
    emulator: { endpoint, caFile, environment, logFile },
    folder,
    context: contextOf(world),
    database: { port, url },
    secretArn,
    loaderSecretArn,
    outputs,
  };
}
