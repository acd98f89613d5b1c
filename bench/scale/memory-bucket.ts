import { contractsKey, loadedPrefix, stagingPrefix, stagingPrefixOf, successMarker } from "../../lib/core/keys.ts";
import type { ListedObject, ObjectArchive, ObjectStore, ObjectVersion } from "../../lib/core/objects.ts";

/**
 * A bucket in memory for a simulation: objects have the size that the simulation wants, and hold one record each.
 * It counts nothing and takes no time; what S3 takes is the clock's matter.
 */
export type MemoryBucket = ObjectStore &
  ObjectArchive & {
    /** Lays the parts of one table, and what marks it as complete, into staging. */
    stage(batch: StagedBatch): void;
  };

export type StagedBatch = {
  readonly batchId: string;
  readonly table: string;
  readonly fragments: number;
  /** Of each fragment, as the listing says. */
  readonly bytes: number;
  readonly at: Date;
};

export function openMemoryBucket(contracts: string, recordOf: (stagedKey: string) => object): MemoryBucket {
  const folders = new Map<string, Map<string, ListedObject>>();
  const texts = new Map([[contractsKey, contracts]]);
  const folderAt = (key: string): Map<string, ListedObject> => {
    const name = folderOf(key);
    const folder = folders.get(name) ?? new Map<string, ListedObject>();
    folders.set(name, folder);
    return folder;
  };
  const put = (object: ListedObject): void => void folderAt(object.key).set(object.key, object);
  const remove = ({ key }: ObjectVersion): void => void folderAt(key).delete(key);
  return {
    stage: ({ batchId, table, fragments, bytes, at }) => {
      const folder = `${stagingPrefixOf(batchId)}${table}/`;
      const names = Array.from({ length: fragments }, (_, index) => `part-${String(index).padStart(5, "0")}.json`);
      for (const name of names) put(objectOf(`${folder}${name}`, bytes, at));
      put(objectOf(`${folder}${successMarker}`, 0, at));
    },
    list: async function* (prefix) {
      for (const object of folderAt(prefix).values()) if (object.key.startsWith(prefix)) yield object;
    },
    folders: async function* () {},
    keys: async () => [],
    read: async ({ key }) => ({ bytes: bytesOf(JSON.stringify({ records: [recordOf(key)] })), contentEncoding: null }),
    readText: async (key) => {
      const text = texts.get(key);
      return text === undefined ? null : { text, etag: "text" };
    },
    write: async (key, json) => void texts.set(key, json),
    move: async (version, toKey) => {
      put({ ...version, key: toKey, isLatest: true });
      remove(version);
    },
    remove: async (version) => remove(version),
  };
}

const objectOf = (key: string, size: number, lastModified: Date): ListedObject => ({
  key,
  versionId: "1",
  etag: "one",
  size,
  lastModified,
  isLatest: true,
});

/** The folder of a batch in staging or in the archive. */
function folderOf(key: string): string {
  const root = [stagingPrefix, loadedPrefix].find((prefix) => key.startsWith(prefix)) ?? "";
  return `${root}${key.slice(root.length).split("/")[0]}/`;
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
