import { rm } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { makeTemporaryDirectory } from "../lib/local/postgres-process.ts";
import { main } from "./main.ts";

const interrupted = 130;
/** How long what is under way may take to notice that the server and the bucket are gone. */
const patienceMilliseconds = 10_000;

const folder = await makeTemporaryDirectory();
const stack = new AsyncDisposableStack();
const stop = new AbortController();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());

const measuring = main(process.argv.slice(2), { folder, stack }).catch((error: unknown) => {
  // What an interrupt took away from under our feet is no fault of its own.
  if (!stop.signal.aborted) console.error(error instanceof Error ? `${error.name}: ${error.message}` : error);
  return 1;
});
const stopped = new Promise<number>((resolve) => {
  stop.signal.addEventListener("abort", () => resolve(interrupted));
});

const exitCode = await Promise.race([measuring, stopped]);
await stack.disposeAsync();
await Promise.race([measuring, pause(patienceMilliseconds)]);
await rm(folder, { recursive: true, force: true });
process.exit(exitCode);
