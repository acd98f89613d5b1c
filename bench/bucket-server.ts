import { openBucket } from "../lib/local/bucket.ts";

/** The local S3 in a process of its own, so that its memory and its time are not the worker's. */

const [storageDir = null, bucket = ""] = process.argv.slice(2);
const opened = await openBucket({ storageDir, bucket });

process.once("disconnect", () => {
  void opened.close().finally(() => process.exit());
});
process.send?.({ endpoint: opened.endpoint });
// Ctrl-C reaches the whole group; the bench closes us when it has ended what uses us.
process.on("SIGINT", () => {});
