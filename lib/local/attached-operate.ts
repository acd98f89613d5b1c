import { overrideEnvironment } from "../config.ts";
import { parseInvocationFault } from "../core/errors.ts";
import type { Operate } from "../core/operations.ts";
import { readLocalEnvironment } from "./environment-file.ts";
import { invokeLambda, LambdaFault, loadFunction } from "./lambda.ts";

/** The deployed `operate` handler, invoked in this process; it fails with the error that a remote one answers. */
export const operateInProcess: Operate = (async (request) => {
  try {
    return await invokeLambda(await loadFunction("operate"), request);
  } catch (error) {
    if (error instanceof LambdaFault) throw parseInvocationFault(JSON.parse(error.message), "operate");
    throw error;
  }
}) as Operate;

/**
 * Points this process at the environment that another process has open in a directory, and gives its `operate`; null if
 * none is open. Logs are off: stdout belongs to the caller.
 */
export async function attachOperate(directory: string): Promise<Operate | null> {
  const info = await readLocalEnvironment(directory);
  if (info === null) return null;
  overrideEnvironment({ ...info.variables, LOG_LEVEL: "SILENT" });
  return operateInProcess;
}
