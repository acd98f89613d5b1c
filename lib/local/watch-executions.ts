import { type Outcome, readOutcome } from "../core/outcome.ts";
import type { LocalEnvironment, LocalEvent } from "./environment.ts";
import type { ExecutionRecord } from "./interpreter.ts";

export type EndedExecution = { readonly batchId: string; readonly record: ExecutionRecord; readonly outcome: Outcome };

type ExecutionWatch = {
  /** The environment's `onEvent`. */
  onEvent(event: LocalEvent): void;
  /** Gives it the machine that holds the executions; those seen earlier are reported from then on. */
  attach(environment: Pick<LocalEnvironment, "machine">): void;
};

/** Reports once how each execution ended, except those that were aborted because the environment closed. */
export function watchExecutions(onEnd: (ended: EndedExecution) => void): ExecutionWatch {
  const seen = new Set<string>();
  const attached = Promise.withResolvers<Pick<LocalEnvironment, "machine">>();
  const tell = async (arn: string): Promise<void> => {
    const { machine } = await attached.promise;
    const record = await machine.settle(arn);
    if (record.status !== "ABORTED") onEnd({ batchId: batchOf(record), record, outcome: readOutcome(record) });
  };
  return {
    onEvent(event) {
      if (event.kind !== "step" || seen.has(event.step.executionArn)) return;
      seen.add(event.step.executionArn);
      void tell(event.step.executionArn);
    },
    attach: attached.resolve,
  };
}

function batchOf({ input }: ExecutionRecord): string {
  const { batchId } = JSON.parse(input) as { batchId?: unknown };
  return typeof batchId === "string" ? batchId : "?";
}
