import { readFileSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Handler, invokeLambda } from "../lib/local/lambda.ts";
import { meterProcess } from "./meter.ts";

/** Entry of a process that holds one deployed function, as Lambda does. It answers every event by a message. */

const [name = "", file = "", profileFolder] = process.argv.slice(2);
// Before the handler is imported: its logger may keep the stream as it finds it.
const takeUsage = meterProcess();
const { handler } = (await import(pathToFileURL(file).href)) as { handler: Handler };

/**
 * Peak memory of this process. The kernel passes `ru_maxrss` on from a parent to its child, so that the peak is read
 * from a file that tells of this program alone.
 */
function peakBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  const [, kilobytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

let profiles = 0;

/** Writes a CPU profile of the invocation alone; the time to start is measured with the bundles. */
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
// Ctrl-C reaches the whole group; the parent ends us.
process.on("SIGINT", () => {});
process.once("disconnect", () => process.exit());
process.send?.({ answer: null, fault: null, peakBytes: peakBytes(), usage: takeUsage() });
