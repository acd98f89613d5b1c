#!/usr/bin/env node
import { runCli } from "../lib/cli/main.ts";
import { openProcessIo } from "../lib/cli/terminal.ts";

/** A launcher or npm may pass one Ctrl-C on twice; a signal after this time is a new one, and exits at once. */
const repeatMilliseconds = 2_000;
const interrupted = 130;

const stop = new AbortController();
let stoppedAt = 0;

function onSignal(): void {
  if (stop.signal.aborted && performance.now() - stoppedAt > repeatMilliseconds) process.exit(interrupted);
  if (stop.signal.aborted) return;
  stoppedAt = performance.now();
  stop.abort();
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);

process.exitCode = await runCli(process.argv.slice(2), openProcessIo(stop.signal));
