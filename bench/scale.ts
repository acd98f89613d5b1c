import { rm } from "node:fs/promises";
import { makeTemporaryDirectory } from "../lib/local/postgres-process.ts";
import { main } from "./scale/main.ts";

const interrupted = 130;

const folder = await makeTemporaryDirectory();
const stack = new AsyncDisposableStack();
const stopped = Promise.withResolvers<number>();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stopped.resolve(interrupted));

const measuring = main(process.argv.slice(2), { folder, stack }).catch((error: unknown) => {
  console.error(error instanceof Error ? error.stack : error);
  return 1;
});
const exitCode = await Promise.race([measuring, stopped.promise]);
await stack.disposeAsync().catch(() => undefined);
await rm(folder, { recursive: true, force: true });
process.exit(exitCode);
