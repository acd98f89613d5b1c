import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { HandlerName } from "../lib/infra/capacity.ts";
import { type LocalPostgres, openPostgres } from "../lib/local/postgres.ts";
import { makeTemporaryDirectory } from "../lib/local/postgres-binaries.ts";
import { type Bundle, bundleHandlers } from "./bundles.ts";
import { openChild } from "./child.ts";
import { openTemplate } from "./database.ts";
import { type Objects, openObjects } from "./objects.ts";

/** Everything that stands while benchmarks run: a server, a bucket, the bundles, a place for files. */
export type Laboratory = {
  readonly folder: string;
  readonly server: LocalPostgres;
  readonly objects: Objects;
  readonly bundles: ReadonlyMap<HandlerName, Bundle>;
  /** Flags of Node for every function. */
  readonly nodeFlags: readonly string[];
  /** Gives the server's log to somebody until the answer is called. */
  watchLog(watcher: (text: string) => void): () => void;
};

const bucketName = "idhub-curated-fragments";

/** @param stack ends and removes all of it, in the reverse order, also where it cannot be opened as a whole */
export async function openLaboratory(stack: AsyncDisposableStack, nodeFlags: readonly string[]): Promise<Laboratory> {
  const folder = await makeTemporaryDirectory();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const watchers = new Set<(text: string) => void>();
  const log = (text: string): void => {
    for (const watcher of watchers) watcher(text);
  };
  const server = await openPostgres({ dataDir: join(folder, "postgres"), log });
  stack.defer(() => server.close());
  await openTemplate(server);
  const objects = await openBucketProcess(stack, join(folder, "s3"));
  const bundles = await bundleHandlers(join(folder, "bundles"));
  const watchLog = (watcher: (text: string) => void): (() => void) => {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  };
  return { folder, server, objects, bundles, nodeFlags, watchLog };
}

async function openBucketProcess(stack: AsyncDisposableStack, storageDir: string): Promise<Objects> {
  const child = await openChild<{ endpoint: string }>({ file: "bucket-server.ts", args: [storageDir, bucketName] });
  stack.defer(() => child.close());
  const objects = openObjects(child.hello.endpoint, bucketName);
  stack.defer(() => objects.close());
  return objects;
}
