import { Duration } from "aws-cdk-lib";
import { type LifecycleRule, StorageClass } from "aws-cdk-lib/aws-s3";
import { stagingPrefix } from "../core/keys.ts";
import { archivePatterns, folderOf } from "./bucket-patterns.ts";

const days = Duration.days;

/**
 * What the bucket does by itself. What was loaded is the evidence of what is in the database: it is kept for ever, only
 * cheaper, in a class that is read as fast as any. Contracts are kept in every version.
 */
export const lifecycleRules: LifecycleRule[] = [
  {
    id: "previews",
    prefix: folderOf(archivePatterns.previews),
    expiration: days(7),
    noncurrentVersionExpiration: days(1),
  },
  { id: "multipart", abortIncompleteMultipartUploadAfter: days(1) },
  // A fragment that was loaded leaves a delete marker and the version below it.
  {
    id: "staging",
    prefix: stagingPrefix,
    noncurrentVersionExpiration: days(30),
    expiredObjectDeleteMarker: true,
  },
  archive("loaded", folderOf(archivePatterns.loaded), 365),
  archive("failed", folderOf(archivePatterns.failed), 90),
];

/** Whoever overwrites or deletes an archived object by hand has so many days to regret it. */
function archive(id: string, prefix: string, regretDays: number): LifecycleRule {
  return {
    id,
    prefix,
    transitions: [{ storageClass: StorageClass.INTELLIGENT_TIERING, transitionAfter: days(90) }],
    noncurrentVersionExpiration: days(regretDays),
    expiredObjectDeleteMarker: true,
  };
}
