import { functionSizes } from "../../lib/infra/capacity.ts";
import { type LoadFunction, loadFunction } from "../../lib/local/lambda.ts";

/** Lambda's answer to more invocations at a time than the function may have. */
class TooManyRequests extends Error {
  override readonly name = "Lambda.TooManyRequestsException";
}

/** The handlers with the reserved concurrency of the deployment: what is too much at a time is refused, as by Lambda. */
export function loadWithReservedConcurrency(): LoadFunction {
  return async (name) => {
    const lambda = await loadFunction(name);
    const most = functionSizes[name].connections ?? Number.POSITIVE_INFINITY;
    let running = 0;
    return {
      ...lambda,
      handler: async (event, context) => {
        if (running >= most) throw new TooManyRequests(`${name}: rate exceeded`);
        running += 1;
        try {
          return await lambda.handler(event, context);
        } finally {
          running -= 1;
        }
      },
    };
  };
}
