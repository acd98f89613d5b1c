import { Tracer } from "@aws-lambda-powertools/tracer";
import { captureLambdaHandler } from "@aws-lambda-powertools/tracer/middleware";
import type { MiddlewareObj } from "@middy/core";
import { LoaderError, toLoaderError } from "../core/errors.ts";
import { serviceName } from "../core/machine.ts";
import { correlationOf, framesOf } from "./telemetry.ts";

/**
 * The only Powertools tracer. It makes one subsegment for each invocation, annotated with the ids of the batch, and none
 * for single requests: a batch of 20,000 fragments would make as many.
 */
const tracer = new Tracer({ serviceName, captureHTTPsRequests: false });
const capture = captureLambdaHandler(tracer, { captureResponse: false });

/** Traces an invocation without its event, its answer or the text of its error; the log holds errors, redacted. */
export function captureTask(task: string): MiddlewareObj {
  return {
    before: (request) => {
      capture.before?.(request);
      if (!tracer.isTracingEnabled()) return;
      for (const [name, id] of Object.entries({ task, ...correlationOf(request.event) })) {
        tracer.putAnnotation(name, id);
      }
    },
    after: (request) => capture.after?.(request),
    onError: (request) => capture.onError?.({ ...request, error: toTraced(request.error) }),
  };
}

/** An error as it may be traced: one of the four names, its code, and its stack frames. */
function toTraced(error: unknown): Error {
  const { name, code } = toLoaderError(error);
  const traced = new Error(code);
  traced.name = name;
  const frames = error instanceof LoaderError ? framesOf(error) : [];
  traced.stack = [code, ...frames].join("\n");
  return traced;
}
