import { Tracer } from "@aws-lambda-powertools/tracer";
import { captureLambdaHandler } from "@aws-lambda-powertools/tracer/middleware";
import type { MiddlewareObj } from "@middy/core";
import { LoaderError, toLoaderError } from "../core/errors.ts";
import { serviceName } from "../core/machine.ts";
import { correlationOf } from "./correlation.ts";
import { framesOf } from "./telemetry.ts";

/**
 * The only Powertools tracer: a subsegment for every invocation, with the ids by which a batch is looked for. Requests are
 * not traced one by one: a batch of 20,000 fragments would be as many subsegments.
 */
const tracer = new Tracer({ serviceName, captureHTTPsRequests: false });
const capture = captureLambdaHandler(tracer, { captureResponse: false });

/** Neither event nor answer nor the text of an error leaves by a trace: the log has them, redacted. */
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

/** An error as it may be traced: one of the four names, its code, and where it was thrown. */
function toTraced(error: unknown): Error {
  const { name, code } = toLoaderError(error);
  const traced = new Error(code);
  traced.name = name;
  const frames = error instanceof LoaderError ? framesOf(error) : [];
  traced.stack = [code, ...frames].join("\n");
  return traced;
}
