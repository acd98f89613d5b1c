import { join } from "node:path";
import type { HandlerName } from "../lib/infra/capacity.ts";
import { type LocalPostgres, openPostgres } from "../lib/local/postgres.ts";
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

/** What the laboratory is opened with: a folder that somebody else removes, and what ends the rest. */
export type LaboratoryOptions = {
  readonly folder: string;
  readonly nodeFlags: readonly string[];
  /** Ends all of it, in the reverse order, also where it cannot be opened as a whole. */
  readonly stack: AsyncDisposableStack;
};

export async function openLaboratory({ folder, nodeFlags, stack }: LaboratoryOptions): Promise<Laboratory> {
  const watchers = new Set<(text: string) => void>();
  const log = (text: string): void => {
    for (const watcher of watchers) watcher(text);
  };
  const server = await own(stack, await openPostgres({ dataDir: join(folder, "postgres"), log }));
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
  const args = [storageDir, bucketName];
  const child = await own(stack, await openChild<{ endpoint: string }>({ file: "bucket-server.ts", args }));
  return own(stack, openObjects(child.hello.endpoint, bucketName));
}

/** Hands a part to the stack; an interrupt while it was being opened has ended the others already. */
async function own<T extends { close(): Promise<void> | void }>(stack: AsyncDisposableStack, part: T): Promise<T> {
  if (stack.disposed) {
    await part.close();
    throw new Error("the bench was interrupted");
  }
  stack.defer(() => part.close());
  return part;
}
