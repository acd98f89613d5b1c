#!/usr/bin/env node
// npm starts this file with the machine's own Node. If that is too old to run TypeScript, the CLI runs with the Node
// among the project's packages.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const oldestNode = 24;
const cli = new URL("./table-loader.ts", import.meta.url);

if (Number.parseInt(process.versions.node, 10) >= oldestNode) await import(cli.href);
else handOver();

function handOver() {
  const node = findNode();
  if (node === null) {
    return fail(
      `expected Node ${oldestNode} or newer, got ${process.version}, and the project's own is missing; run npm ci`,
    );
  }
  const child = spawn(node, [fileURLToPath(cli), ...process.argv.slice(2)], { stdio: "inherit" });
  // A terminal sends Ctrl-C to both processes, so the CLI receives it twice and ignores the second.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(`${node} cannot be started (${error.message}); run npm ci`));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  });
}

function findNode() {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("node/package.json")), "bin", "node");
  } catch {
    return null;
  }
}

function fail(text) {
  process.stderr.write(`table-loader: ${text}\n`);
  process.exitCode = 5;
}
