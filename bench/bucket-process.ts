import { openBucket } from "../lib/local/bucket.ts";

/** Entry of the process of the local S3, so that its memory and its time are not the worker's. */

const [storageDir = null, bucket = ""] = process.argv.slice(2);
const opened = await openBucket({ storageDir, bucket });

process.once("disconnect", () => {
  void opened.close().finally(() => process.exit());
});
process.send?.({ endpoint: opened.endpoint });
// Ctrl-C reaches the whole group; the bench closes us after everything that uses us.
process.on("SIGINT", () => {});
