import { rm } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { makeTemporaryDirectory } from "../lib/local/postgres-process.ts";
import type { Workspace } from "./laboratory.ts";

const interrupted = 130;
/** Time for a program to notice that the server and the bucket are gone. */
const patienceMilliseconds = 10_000;

/**
 * Runs a benchmark in a folder of its own and exits with its exit code; a signal closes all that it has opened.
 *
 * @param program answers the exit code
 * @param describe the text of an error that ends the program
 */
export async function runProgram(
  program: (workspace: Workspace) => Promise<number>,
  describe: (error: Error) => string,
): Promise<never> {
  const folder = await makeTemporaryDirectory();
  const stack = new AsyncDisposableStack();
  const stopped = Promise.withResolvers<number>();
  let isStopped = false;
  const stop = (): void => {
    isStopped = true;
    stopped.resolve(interrupted);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  // An interrupt closes the server during the work: errors that follow are no news.
  const report = (error: unknown): number => {
    if (!isStopped) console.error(error instanceof Error ? describe(error) : error);
    return 1;
  };
  const running = program({ folder, stack }).catch(report);
  const exitCode = await Promise.race([running, stopped.promise]);
  await stack.disposeAsync().catch(report);
  await Promise.race([running, pause(patienceMilliseconds)]);
  await rm(folder, { recursive: true, force: true });
  process.exit(exitCode);
}
