import { pathToFileURL } from "node:url";

/**
 * Entry of a process that imports one file and nothing else, and tells the processor time of that: an import waits for
 * nothing, and other programs do not lengthen that time as they do the time on the clock.
 */

const [file = ""] = process.argv.slice(2);
const started = process.cpuUsage();
await import(pathToFileURL(file).href);
const { user, system } = process.cpuUsage(started);
process.send?.({ milliseconds: (user + system) / 1000 });
process.once("disconnect", () => process.exit());
