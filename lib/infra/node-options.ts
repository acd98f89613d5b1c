/** Nine tenths of a function's memory, as Lambda's runtime gives to the old generation by itself. */
const oldGenerationShare = 0.9;

/**
 * Flags of Node for a function of so much memory (MB): what is deployed as NODE_OPTIONS, and what the benchmarks run.
 *
 * The young generation otherwise grows with the size of the fragment: at 100 MB a worker held 282 MB against 215 MB.
 * Where either of the two flags is given, Lambda's runtime sets none of its own, so the other stands here as well.
 */
export function nodeOptionsOf(memoryMb: number): string {
  return `--max-semi-space-size=4 --max-old-space-size=${Math.floor(memoryMb * oldGenerationShare)}`;
}
