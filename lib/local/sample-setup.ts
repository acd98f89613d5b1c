import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { contractsKey } from "../core/keys.ts";
import type { LocalBucket } from "./bucket.ts";
import type { LocalPostgres } from "./postgres.ts";

const sampleSchema = new URL("../../config/sample-schema.sql", import.meta.url);
const contractsFile = fileURLToPath(new URL("../../config/tables.json", import.meta.url));

/** Makes the sample's tables as the role that owns the database; every statement of the file may run again. */
export async function applySampleSchema({ host, port, user, password, database }: LocalPostgres): Promise<void> {
  const sql = postgres({ host, port, user, password, database, max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(await readFile(sampleSchema, "utf8"));
  } finally {
    await sql.end();
  }
}

/** Uploads the contracts where the bucket's differ from the file's, as a deployment would. */
export async function uploadContracts(bucket: LocalBucket): Promise<void> {
  const wanted = await readFile(contractsFile);
  const stored = await bucket.get(contractsKey);
  if (stored === null || !wanted.equals(stored)) await bucket.put(contractsKey, new Uint8Array(wanted));
}

/** Editors write a file in several steps; this is longer than they take. */
const settleMilliseconds = 100;

/** Uploads the contracts again whenever the file changes. */
export function watchContracts(bucket: LocalBucket, onFault: (error: unknown) => void): { close(): void } {
  let timer: NodeJS.Timeout | undefined;
  // The folder, not the file: many editors replace the file, and a watch of it would end there.
  const watcher = watch(fileURLToPath(new URL("./", sampleSchema)), (_event, name) => {
    if (name !== "tables.json") return;
    clearTimeout(timer);
    timer = setTimeout(() => uploadContracts(bucket).catch(onFault), settleMilliseconds);
  });
  return {
    close() {
      clearTimeout(timer);
      watcher.close();
    },
  };
}
