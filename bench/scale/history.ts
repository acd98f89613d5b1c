import { type Definition, listStates, type State } from "../../lib/local/interpreter.ts";

/**
 * An execution's history as Step Functions counts it, from the events of the local interpreter. The kinds of events are
 * those of the API (HistoryEvent): a state is entered and exited; a Lambda task is also scheduled, started and
 * succeeded or failed, once for every try; a Map is also started and succeeded, and so is every iteration.
 */
export type History = {
  /** Step Functions allows 25,000. */
  readonly events: number;
  /** The unit in which Standard workflows are billed: every state that is entered, every retry, and the start. */
  readonly transitions: number;
  /** The largest JSON that went into a state or came out of one, in bytes of at most 262,144. */
  readonly largestPayload: number;
  /** Tries of tasks that were refused or failed. */
  readonly retries: number;
};

/** An event of the interpreter. */
export type Logged = {
  readonly type: string;
  readonly state?: { readonly name: string; readonly input?: unknown; readonly output?: unknown };
};

const ofExecution = 2; // ExecutionStarted, and how it ended
const eventsByType: Readonly<Record<string, number>> = {
  Task: 5, // entered, scheduled, started, succeeded, exited
  Map: 4, // entered, started, succeeded, exited
  Fail: 1, // entered; the execution ends with it
};
const otherStates = 2; // entered, exited
const ofTry = 3; // scheduled, started, failed
const ofIteration = 2; // started, succeeded

export function openHistory(definition: Definition) {
  const types = new Map(listStates(definition).map(([name, state]: [string, State]) => [name, state.Type]));
  let events = ofExecution;
  let transitions = 1;
  let largestPayload = 0;
  let retries = 0;
  const measure = (payload: unknown): void => {
    if (payload !== undefined) largestPayload = Math.max(largestPayload, Buffer.byteLength(JSON.stringify(payload)));
  };
  return {
    add({ type, state }: Logged): void {
      measure(state?.input);
      measure(state?.output);
      if (type === "StateEntered" && state) {
        events += eventsByType[types.get(state.name) ?? ""] ?? otherStates;
        transitions += 1;
      }
      if (type === "StateRetried") {
        events += ofTry;
        transitions += 1;
        retries += 1;
      }
      if (type === "MapIterationStarted") events += ofIteration;
    },
    total: (): History => ({ events, transitions, largestPayload, retries }),
  };
}
