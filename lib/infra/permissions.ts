import {
  contractsKey,
  failedPrefixOf,
  loadedPrefixOf,
  loadResultKey,
  previewKey,
  stagingPrefixOf,
} from "../core/keys.ts";
import type { HandlerName } from "./capacity.ts";

/** Permissions of the functions, and the key patterns that they are given for. */

/** Everything that a function may do in the bucket; key patterns for objects, true for the bucket itself. */
type BucketPermissions = {
  /**
   * Lists keys and versions. It also makes S3 answer 404 and not 403 for an object that is missing. It has no condition
   * on the prefix, because reading an object names none.
   */
  readonly list?: boolean;
  readonly read?: readonly KeyPattern[];
  readonly write?: readonly KeyPattern[];
  /** Never the archive of loaded fragments. */
  readonly remove?: readonly Exclude<KeyPattern, "loaded">[];
  /** Lists copies in parts that were never completed. */
  readonly uploads?: boolean;
  /** Gives up such copies; `write` includes it. */
  readonly abandon?: readonly KeyPattern[];
  /** Reads the settings of the bucket. */
  readonly inspect?: boolean;
};

export const bucketPermissions: Readonly<Record<HandlerName, BucketPermissions>> = {
  "validate-batch": { list: true, read: ["contracts", "staging", "failed", "loaded"] },
  "stage-fragments": { list: true, read: ["staging", "failed", "loaded"] },
  // Reads the originals of rejected records; lists, so that S3 answers 404 for a version that is gone.
  "commit-batch": { list: true, read: ["staging", "failed", "loaded"], write: ["previews"] },
  "archive-fragments": {
    list: true,
    uploads: true,
    read: ["staging", "failed", "loaded"],
    write: ["loaded", "failed"],
    remove: ["staging", "failed"],
  },
  // Reads its own files, to notice that another execution has written them meanwhile.
  "close-batch": {
    list: true,
    read: ["staging", "previews", "loadedResults", "failedResults"],
    write: ["loaded", "failed"],
  },
  "fail-batch": { write: ["previews"] },
  "rollback-batch": {},
  "start-load": {},
  // Reads manifests in staging and of uncommitted objects in the archive, and checks the contracts.
  sweep: { list: true, uploads: true, read: ["contracts", "staging", "loaded"], abandon: ["loaded", "failed"] },
  // Doctor reads the bucket's settings and counts unfinished copies; it writes nothing.
  operate: { list: true, uploads: true, read: ["contracts", "loaded", "failed", "previews"], inspect: true },
  migrate: {},
};

/** The functions that start and watch executions. */
export const startsExecutions: Readonly<Record<HandlerName, boolean>> = {
  "validate-batch": false,
  "stage-fragments": false,
  "commit-batch": false,
  "archive-fragments": false,
  "close-batch": false,
  "fail-batch": false,
  "rollback-batch": false,
  "start-load": true,
  sweep: true,
  operate: true,
  migrate: false,
};

/** Doctor asks for the machine and its running executions, through the endpoint by which executions are started. */
export const machineInspection = {
  handler: "operate",
  actions: ["states:DescribeStateMachine", "states:ListExecutions"],
} as const;

export const bucketActions = {
  list: ["s3:ListBucket", "s3:ListBucketVersions"],
  uploads: ["s3:ListBucketMultipartUploads"],
  abandon: ["s3:AbortMultipartUpload"],
  inspect: [
    "s3:GetBucketVersioning",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketNotification",
    "s3:GetLifecycleConfiguration",
  ],
  read: ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"],
  write: ["s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"],
  remove: ["s3:DeleteObject", "s3:DeleteObjectVersion"],
} as const;

/** Key patterns for policies and lifecycle rules, from the functions that build the keys. */
export const archivePatterns = {
  contracts: contractsKey,
  staging: `${stagingPrefixOf("*")}*`,
  loaded: `${loadedPrefixOf("*", 1)}*`,
  failed: `${failedPrefixOf("*", 1)}*`,
  previews: previewKey("*", "*"),
  /** Load results, of every epoch and attempt. */
  loadedResults: resultsBelow(loadedPrefixOf("*", 1)),
  failedResults: resultsBelow(failedPrefixOf("*", 1)),
} as const;

function resultsBelow(prefix: string): string {
  return loadResultKey(prefix, 1).replace(/\.json$/, "*.json");
}

export type KeyPattern = keyof typeof archivePatterns;

/** The folder that a pattern begins with: `previews/` of `previews/<batch>/<run>.json`. */
export function folderOf(pattern: string): string {
  return pattern.slice(0, pattern.indexOf("*"));
}
