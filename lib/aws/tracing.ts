import type { MiddlewareObj } from "@middy/core";

let isWanted: () => boolean = () => false;

/** Sets when invocations are traced: traces go to a daemon that only Lambda runs beside its functions. */
export function traceWhere(wanted: () => boolean): void {
  isWanted = wanted;
}

/**
 * Traces every invocation of a task. The tracer is loaded only if traces are wanted: once loaded, the SDK of X-Ray
 * follows every promise of the process, which made a loop of 300,000 awaits five times as slow.
 */
export function traceTask(task: string): MiddlewareObj {
  let capture: MiddlewareObj = {};
  return {
    before: async (request) => {
      if (!isWanted()) return;
      const { captureTask } = await import("./tracer.ts");
      capture = captureTask(task);
      await capture.before?.(request);
    },
    after: (request) => capture.after?.(request),
    onError: (request) => capture.onError?.(request),
  };
}
