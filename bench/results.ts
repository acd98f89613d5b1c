/** Measurements as data: bars and reports are made of them. */

/** One load by our handlers. */
export type LoadResult = {
  /** From the object in staging to the commit. */
  readonly seconds: number;
  readonly phases: { readonly validate: number; readonly stage: number; readonly commit: number };
  /** Part of the stage phase in which a worker waited for others, by the machine's Wait states. */
  readonly waited: number;
  /** ArchiveFragments and CloseBatch, after the commit. */
  readonly archive: number;
  readonly workers: number;
  /** Peak memory of a staging worker, and of CommitBatch, in bytes. */
  readonly workerPeak: number;
  readonly commitPeak: number;
};

export type Sample = {
  readonly seconds: number;
  readonly records: number;
  /** If our handlers loaded it. */
  readonly load?: LoadResult;
};

/** One program's samples of a scenario; the n-th of each series were taken in the same round. */
export type Series = { readonly name: string; readonly samples: readonly Sample[] };

export type ScenarioResult = {
  readonly name: string;
  readonly title: string;
  /** Number in one load. */
  readonly records: number;
  /** Size as JSON. */
  readonly bytes: number;
  readonly fragments: number;
  readonly series: readonly Series[];
};

/** Peak memory of a staging worker, in bytes, by the size of the object. */
export type MemoryResult = { readonly bytes: number; readonly peakBytes: number };

export type BundleResult = {
  readonly handler: string;
  readonly bytes: number;
  /** Processor time to import it, over that of an empty file. */
  readonly importMilliseconds: number;
  /** The same of a handler that does nothing, with the clients of the SDK that this one needs. */
  readonly bareMilliseconds: number;
};

export type Results = {
  readonly scenarios: readonly ScenarioResult[];
  readonly memory: readonly MemoryResult[];
  readonly bundles: readonly BundleResult[];
};

/** The middle one, or the mean of the two in the middle. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

export const rateOf = ({ records, seconds }: Sample): number => records / seconds;

export function seriesOf(result: ScenarioResult | undefined, name: string): readonly Sample[] {
  return result?.series.find((series) => series.name === name)?.samples ?? [];
}

/** How many times the rate of `other` is reached: the median over the rounds; null if one was not measured. */
export function rateRatio(result: ScenarioResult | undefined, name: string, other: string): number | null {
  const others = seriesOf(result, other);
  const ratios = seriesOf(result, name).flatMap((sample, round) => {
    const against = others[round];
    return against ? [rateOf(sample) / rateOf(against)] : [];
  });
  return ratios.length === 0 ? null : median(ratios);
}

/** How many times the cold import of an empty handler with the same clients of the SDK. */
export const importRatio = ({ importMilliseconds, bareMilliseconds }: BundleResult): number =>
  importMilliseconds / bareMilliseconds;
