/** One version of one object. `versionId` is null where the bucket has no versioning: then ETag and size identify it. */
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
  /** Fails with TransientError where the body stalls or ends before its length. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** The Content-Encoding header, or null. */
  readonly contentEncoding: string | null;
};

/** Bytes of what the loader reads whole, which is configuration and manifests; anything greater is a mistake. */
export const largestText = 64 * 1024 ** 2;

/** Bytes of a fragment, as stored and decoded: bounds what a decompression bomb can cost. */
export const largestFragment = 64 * 1024 ** 3;

/**
 * The bucket. Every read names the version (or its ETag), so that a replaced object is an error and never a mixture.
 * Errors: PermanentError S3_MISSING, S3_CHANGED and (of a text) S3_TOO_LARGE, BlockedError S3_ACCESS, S3_THROTTLED and
 * S3_STORAGE_CLASS, TransientError for everything that passes.
 */
export interface ObjectStore {
  /** Every known version below a prefix (only the current ones where the bucket has no versioning), newest first. */
  list(prefix: string): AsyncIterable<ListedObject>;
  /** The names of the folders directly below a prefix, without it, from behind the named one on. */
  folders(prefix: string, after?: string): AsyncIterable<string>;
  /** One page of the current keys below a prefix, from behind the given key on; empty at the end. */
  keys(prefix: string, after: string): Promise<readonly string[]>;
  read(version: ObjectVersion, fromByte?: number): Promise<ObjectBody>;
  /** The text of a small object, as it is now or of one version; null where there is none, or not any more. */
  readText(key: string, version?: ObjectVersion): Promise<{ readonly text: string; readonly etag: string } | null>;
  /**
   * Writes JSON text. With the ETag of what is there, or null where nothing is, only in its place: otherwise S3_CHANGED.
   */
  write(key: string, json: string, instead?: string | null): Promise<void>;
}

/** What happens to objects once their rows are committed, or their batch has failed. */
export interface ObjectArchive {
  /**
   * Copies a version, verifies size and content of the copy, and only then deletes exactly that version.
   * Repeatable: a copy that is there already is verified, a source that is gone already is fine if the copy is there.
   * PermanentError ARCHIVE_CONFLICT where `toKey` holds other content.
   */
  move(version: ObjectVersion, toKey: string): Promise<void>;
  /** Deletes exactly this version; one that is gone already is fine. */
  remove(version: ObjectVersion): Promise<void>;
}

/** A copy in parts that was begun. */
export type UnfinishedUpload = { readonly key: string; readonly uploadId: string; readonly initiated: Date };

/** Copies in parts that nobody goes on with. */
export interface ObjectUploads {
  /** At most a page of them. */
  unfinished(prefix: string): Promise<readonly UnfinishedUpload[]>;
  /** Gives its parts back; one that has ended already is fine. */
  abandon(upload: UnfinishedUpload): Promise<void>;
}
