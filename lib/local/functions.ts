import { type otherFunctions, taskStates } from "../core/machine.ts";
import type { Handler, LambdaFunction } from "./lambda.ts";

export type FunctionName = (typeof taskStates)[keyof typeof taskStates] | (typeof otherFunctions)[number];
export type LoadFunction = (name: FunctionName) => Promise<LambdaFunction>;

/** Imports a deployed handler. The settings must be in place: a handler may read them when it is imported. */
export async function loadFunction(name: FunctionName): Promise<LambdaFunction> {
  const { handler } = (await import(`../../functions/${name}.ts`)) as { handler?: Handler };
  if (typeof handler === "function") return { name, handler };
  throw new Error(`LOCAL_HANDLER_MISSING: functions/${name}.ts exports no function named handler`);
}

/** The functions of all task states, by the state's name. */
export async function loadTaskFunctions(load: LoadFunction = loadFunction): Promise<Record<string, LambdaFunction>> {
  const loading = Object.entries(taskStates).map(async ([state, name]) => [state, await load(name)] as const);
  return Object.fromEntries(await Promise.all(loading));
}
