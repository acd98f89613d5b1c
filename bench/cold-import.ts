import { pathToFileURL } from "node:url";

/**
 * Imports one file in a process that has imported nothing else, and says how much processor time it took: an import
 * waits for nothing else, and what other programs do meanwhile is no matter of the file's.
 */

const [file = ""] = process.argv.slice(2);
const started = process.cpuUsage();
await import(pathToFileURL(file).href);
const { user, system } = process.cpuUsage(started);
process.send?.({ milliseconds: (user + system) / 1000 });
process.once("disconnect", () => process.exit());
