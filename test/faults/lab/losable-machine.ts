import { type LocalMachine, type MachineOptions, openMachine } from "../../../lib/local/interpreter.ts";
import type { LambdaFunction } from "../../../lib/local/lambda.ts";

export type LosableMachine = LocalMachine & {
  /** A new interpreter takes its place, which knows none of the executions. */
  lose(): void;
};

type Interpreter = { readonly machine: LocalMachine; lost: boolean };

export function openLosableMachine(options: MachineOptions): LosableMachine {
  let current = openInterpreter(options);
  return {
    arn: current.machine.arn,
    start: (name, input) => current.machine.start(name, input),
    find: (arn) => current.machine.find(arn),
    list: () => current.machine.list(),
    settle: (arn) => current.machine.settle(arn),
    stop: (arn, reason) => current.machine.stop(arn, reason),
    lose: () => {
      current.lost = true;
      // it waits for what never answers any more
      void current.machine.close();
      current = openInterpreter(options);
    },
    close: () => current.machine.close(),
  };
}

/** An interpreter that hears nothing of its functions any more once it is lost: aborted, it would still retry. */
function openInterpreter(options: MachineOptions): Interpreter {
  const never = new Promise<never>(() => undefined);
  const interpreter: { lost: boolean } = { lost: false };
  const deafen = (lambda: LambdaFunction): LambdaFunction => ({
    ...lambda,
    handler: async (event, context) => {
      const ended = await Promise.allSettled([interpreter.lost ? never : lambda.handler(event, context)]);
      const [outcome] = interpreter.lost ? await never : ended;
      if (outcome.status === "rejected") throw outcome.reason;
      return outcome.value;
    },
  });
  const functions = Object.fromEntries(Object.entries(options.functions).map(([state, one]) => [state, deafen(one)]));
  return Object.assign(interpreter, { machine: openMachine({ ...options, functions }) });
}
