#!/usr/bin/env node
import { openProcessIo } from "../lib/cli/cli-io.ts";
import { runCli } from "../lib/cli/main.ts";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());

process.exitCode = await runCli(process.argv.slice(2), openProcessIo(stop.signal));
