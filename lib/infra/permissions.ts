import {
  contractsKey,
  failedPrefixOf,
  loadedPrefixOf,
  loadResultKey,
  previewKey,
  stagingPrefixOf,
} from "../core/keys.ts";
import type { HandlerName } from "./capacity.ts";

/** What a function may do in the bucket; nothing else. */
type BucketPermissions = {
  /**
   * Lists keys and versions. Also what makes S3 answer 404 rather than 403 for an object that is not there, for which a
   * condition on the prefix would not do: reading an object has no prefix.
   */
  readonly list?: boolean;
  readonly read?: readonly KeyPattern[];
  readonly write?: readonly KeyPattern[];
  /** Never the archive of what was loaded. */
  readonly remove?: readonly Exclude<KeyPattern, "loaded">[];
  /** Finds copies in parts that were never ended. */
  readonly uploads?: boolean;
  /** Gives such copies up; whoever may write may that anyway. */
  readonly abandon?: readonly KeyPattern[];
  /** Reads how the bucket is set up. */
  readonly inspect?: boolean;
};

export const bucketPermissions: Readonly<Record<HandlerName, BucketPermissions>> = {
  "validate-batch": { list: true, read: ["contracts", "staging", "failed", "loaded"] },
  "stage-fragments": { list: true, read: ["staging", "failed", "loaded"] },
  // Reads the originals of rejected records; lists, so that a version that is gone answers 404 and not 403.
  "commit-batch": { list: true, read: ["staging", "failed", "loaded"], write: ["previews"] },
  "archive-fragments": {
    list: true,
    uploads: true,
    read: ["staging", "failed", "loaded"],
    write: ["loaded", "failed"],
    remove: ["staging", "failed"],
  },
  // Of what it writes itself it has to know whether somebody else wrote it meanwhile.
  "close-batch": {
    list: true,
    read: ["staging", "previews", "loadedResults", "failedResults"],
    write: ["loaded", "failed"],
  },
  "fail-batch": { write: ["previews"] },
  "rollback-batch": {},
  "start-load": {},
  // Manifests in staging, and of what it finds in the archive without a commit; whether the contracts can be used.
  sweep: { list: true, uploads: true, read: ["contracts", "staging", "loaded"], abandon: ["loaded", "failed"] },
  // doctor reads the bucket's settings, and counts unfinished copies; it tries nothing.
  operate: { list: true, uploads: true, read: ["contracts", "loaded", "failed", "previews"], inspect: true },
  migrate: {},
};

/** Which functions start and watch executions. */
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

/** doctor asks whether the machine is there and what runs: by the endpoint by which executions are started. */
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
