import { setTimeout as pause } from "node:timers/promises";
import { invokeLambda, type LambdaFunction } from "./lambda.ts";
import { closeWaitMilliseconds } from "./local-entrances.ts";

export type SweepTimerOptions = {
  readonly sweep: LambdaFunction;
  readonly everySeconds: number;
  readonly onFault: (error: unknown) => void;
};

export type SweepTimer = { close(): Promise<void> };

/** Calls sweep again and again, the next time only after the last one has ended. */
export function openSweepTimer(options: SweepTimerOptions): SweepTimer {
  const stop = new AbortController();
  const running = sweepUntil(stop.signal, options);
  return {
    close() {
      stop.abort();
      return Promise.race([running, pause(closeWaitMilliseconds, undefined, { ref: false })]);
    },
  };
}

async function sweepUntil(signal: AbortSignal, { sweep, everySeconds, onFault }: SweepTimerOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      await pause(everySeconds * 1_000, undefined, { signal });
      await invokeLambda(sweep, { source: "aws.events", "detail-type": "Scheduled Event", time: new Date() });
    } catch (error) {
      if (!signal.aborted) onFault(error);
    }
  }
}
