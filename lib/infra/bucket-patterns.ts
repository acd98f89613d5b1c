import {
  contractsKey,
  failedPrefixOf,
  loadedPrefixOf,
  loadResultKey,
  previewKey,
  stagingPrefixOf,
} from "../core/keys.ts";

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
