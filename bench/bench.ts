import { main } from "./main.ts";

const interrupted = 130;

/** Holds whatever is to be ended and removed: processes, databases, files. */
const stack = new AsyncDisposableStack();
let stopping = false;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    void stack.disposeAsync().finally(() => process.exit(interrupted));
  });

try {
  process.exitCode = await main(process.argv.slice(2), stack);
} catch (error) {
  // What an interrupt took away from under our feet is no fault of its own.
  if (!stopping) console.error(error instanceof Error ? `${error.name}: ${error.message}` : error);
  process.exitCode = 1;
} finally {
  if (!stopping) await stack.disposeAsync();
}
