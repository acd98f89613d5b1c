import type { CrashPoint } from "../../../lib/core/ports.ts";
import { type FunctionName, type Handler, invokeLambda, LambdaFault } from "../../../lib/local/lambda.ts";
import { limitBucket, onCrashPoint } from "../../../lib/wiring.ts";

/** One Lambda sandbox: it runs whatever function it gets first, and that one only, one invocation at a time. */

/** Stop or kill yourself at a point, when it is reached for the n-th time in this invocation. */
export type Order = {
  readonly point: CrashPoint;
  readonly time: number;
  /** SIGSTOP freezes the process: with SIGCONT it goes on as if nothing had happened. */
  readonly signal: "SIGKILL" | "SIGSTOP";
};

export type Invocation = {
  readonly name: FunctionName;
  readonly event: unknown;
  readonly timeLimitSeconds: number;
  readonly order: Order | null;
};

export type LambdaError = {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace: readonly string[];
};

export type Said =
  | { readonly said: "ready" }
  | { readonly said: "stopping" }
  | { readonly said: "answer"; readonly answer: unknown }
  | { readonly said: "fault"; readonly fault: LambdaError };

const [limits = "{}"] = process.argv.slice(2);
limitBucket(JSON.parse(limits));
process.on("message", (invocation: Invocation) => void invoke(invocation));
process.on("disconnect", () => process.exit());
tell({ said: "ready" });

async function invoke({ name, event, timeLimitSeconds, order }: Invocation): Promise<void> {
  obey(order);
  const { handler } = (await import(`../../../functions/${name}.ts`)) as { handler: Handler };
  try {
    const answer = await invokeLambda({ name, handler, timeLimitSeconds }, event);
    tell({ said: "answer", answer });
  } catch (error) {
    if (!(error instanceof LambdaFault)) throw error;
    tell({ said: "fault", fault: JSON.parse(error.message) as LambdaError });
  }
}

function obey(order: Order | null): void {
  let times = 0;
  onCrashPoint((point) => {
    if (point !== order?.point) return;
    times += 1;
    if (times !== order.time) return;
    if (order.signal === "SIGKILL") process.kill(process.pid, "SIGKILL");
    return new Promise((resolve) => {
      // told first: a stopped process says nothing
      process.send?.({ said: "stopping" } satisfies Said, () => {
        process.kill(process.pid, "SIGSTOP");
        resolve();
      });
    });
  });
}

function tell(message: Said): void {
  process.send?.(message);
}
