import { readFileSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Handler, invokeLambda } from "../lib/local/lambda.ts";
import { meterProcess } from "./meter.ts";

/** One deployed function in a process of its own, as in Lambda. It answers an event a message. */

const [name = "", file = "", profileFolder] = process.argv.slice(2);
// before the handler is imported: its logger may take hold of what it writes to
const takeUsage = meterProcess();
const { handler } = (await import(pathToFileURL(file).href)) as { handler: Handler };

/**
 * Bytes that this process has held at most. The kernel hands `ru_maxrss` on from the parent to what it starts, so
 * the peak is read where it belongs to this program alone.
 */
function peakBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  const [, kilobytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

let profiles = 0;

/** Leaves a CPU profile of the invocation alone: what it takes to start is the bundle's matter. */
async function profiled<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  try {
    return await work();
  } finally {
    const { profile } = await session.post("Profiler.stop");
    session.disconnect();
    profiles += 1;
    writeFileSync(join(folder, `${name}-${process.pid}-${profiles}.json`), JSON.stringify(profile));
  }
}

process.on("message", async (event) => {
  takeUsage();
  const invoke = (): Promise<unknown> => invokeLambda({ name, handler }, event);
  try {
    const answer = await (profileFolder === undefined ? invoke() : profiled(profileFolder, invoke));
    process.send?.({ answer, fault: null, peakBytes: peakBytes(), usage: takeUsage() });
  } catch (error) {
    process.send?.({ answer: null, fault: String(error), peakBytes: peakBytes(), usage: takeUsage() });
  }
});
// Ctrl-C reaches the whole group; whoever asked ends us.
process.on("SIGINT", () => {});
process.once("disconnect", () => process.exit());
process.send?.({ answer: null, fault: null, peakBytes: peakBytes(), usage: takeUsage() });
