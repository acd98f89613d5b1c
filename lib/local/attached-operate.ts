import { overrideEnvironment } from "../config.ts";
import { parseInvocationFault } from "../core/errors.ts";
import type { Operate } from "../core/operations.ts";
import { attachLocalEnvironment, readLocalEnvironment } from "./environment-file.ts";
import { invokeLambda, LambdaFault, loadFunction } from "./lambda.ts";

/** Invokes the `operate` handler in this process. */
export const operateInProcess: Operate = (async (request) => {
  try {
    return await invokeLambda(await loadFunction("operate"), request);
  } catch (error) {
    if (error instanceof LambdaFault) throw parseInvocationFault(JSON.parse(error.message), "operate");
    throw error;
  }
}) as Operate;

/**
 * The `operate` function of the environment that another process has open in a directory, run in this process; null
 * where none is open. It logs nothing: stdout belongs to the caller.
 */
export async function attachOperate(directory: string): Promise<Operate | null> {
  const info = await readLocalEnvironment(directory);
  if (info === null) return null;
  attachLocalEnvironment(info);
  overrideEnvironment({ LOG_LEVEL: "SILENT" });
  return operateInProcess;
}
