/** Objects in the bucket, and the ports that list, read, write, archive and give them up. */

/** A version of an object. `versionId` is null in a bucket without versioning: then ETag and size identify it. */
export type ObjectVersion = {
  readonly key: string;
  readonly versionId: string | null;
  readonly etag: string;
  /** Bytes as stored. */
  readonly size: number;
  readonly lastModified: Date;
};

/** A version with its place in the key's history. */
export type ListedObject = ObjectVersion & { readonly isLatest: boolean };

/** The body of one object version, from a byte offset on. */
export type ObjectBody = {
  /** Fails with TransientError if the body stalls or ends before its length. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** The Content-Encoding header, or null. */
  readonly contentEncoding: string | null;
};

/** Most bytes of a text that the loader reads whole, a configuration or manifest; a larger one is a mistake. */
export const largestText = 64 * 1024 ** 2;

/** Most bytes of a fragment, as stored and decoded: it bounds the cost of a decompression bomb. */
export const largestFragment = 64 * 1024 ** 3;

/**
 * The bucket. Every read names the version (or its ETag), so that a replaced object is an error and never a mixture.
 * Errors: PermanentError S3_MISSING, S3_CHANGED and (of a text) S3_TOO_LARGE, BlockedError S3_ACCESS, S3_THROTTLED and
 * S3_STORAGE_CLASS, TransientError for everything that passes.
 */
export interface ObjectStore {
  /** Every version below a prefix, of each key the newest first; without versioning only the current ones. */
  list(prefix: string): AsyncIterable<ListedObject>;
  /** Names of the folders directly below a prefix, without it, that come after the given one. */
  folders(prefix: string, after?: string): AsyncIterable<string>;
  /** One page of the current keys below a prefix that come after the given key; empty at the end. */
  keys(prefix: string, after: string): Promise<readonly string[]>;
  read(version: ObjectVersion, fromByte?: number): Promise<ObjectBody>;
  /** The text of a small object, as it is now or of one version; null if there is none, or no longer. */
  readText(key: string, version?: ObjectVersion): Promise<{ readonly text: string; readonly etag: string } | null>;
  /** Writes JSON text; with `instead`, only if the object has this ETag or, if null, is not there: else S3_CHANGED. */
  write(key: string, json: string, instead?: string | null): Promise<void>;
}

/** Moves and removes objects once their rows are committed, or their batch has failed. */
export interface ObjectArchive {
  /**
   * Copies a version, verifies size and content of the copy, and only then deletes exactly that version.
   * Repeatable: an existing copy is verified, and a source that is gone is fine if the copy is there.
   * PermanentError ARCHIVE_CONFLICT if `toKey` holds other content.
   */
  move(version: ObjectVersion, toKey: string): Promise<void>;
  /** Deletes exactly this version; repeatable. */
  remove(version: ObjectVersion): Promise<void>;
}

/** A copy in parts that was begun. */
export type UnfinishedUpload = { readonly key: string; readonly uploadId: string; readonly initiated: Date };

/** Copies in parts that no invocation goes on with. */
export interface ObjectUploads {
  /** At most a page of them. */
  unfinished(prefix: string): Promise<readonly UnfinishedUpload[]>;
  /** Ends the copy and deletes its parts; repeatable. */
  abandon(upload: UnfinishedUpload): Promise<void>;
}
