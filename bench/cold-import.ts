import { pathToFileURL } from "node:url";

/** Imports one file in a process that has imported nothing else, and says how long it took. */

const [file = ""] = process.argv.slice(2);
const started = performance.now();
await import(pathToFileURL(file).href);
process.send?.({ milliseconds: performance.now() - started });
process.once("disconnect", () => process.exit());
