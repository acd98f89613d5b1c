type Listed = { readonly key: string };

export type ListingOptions = {
  readonly prefix?: string;
  readonly delimiter?: string;
  readonly maxKeys?: number;
  readonly startAfter?: string;
  readonly marker?: string;
};

export type Listing<T> = { objects: T[]; commonPrefixes: string[]; isTruncated: boolean };

/**
 * One page of a listing, in the order of the keys' bytes, as S3 has it. fauxqs sorts by the rules of a language and
 * goes on behind a key by code units, so that from 1,000 keys on it skips some and shows others twice.
 */
export function listPage<T extends Listed>(all: Iterable<T>, options: ListingOptions = {}): Listing<T> {
  const { prefix = "", delimiter, maxKeys = 1_000 } = options;
  const after = options.startAfter ?? options.marker ?? "";
  const matching = [...all].filter(({ key }) => key.startsWith(prefix) && byteOrder(key, after) > 0);
  const page: Listing<T> = { objects: [], commonPrefixes: [], isTruncated: false };
  for (const object of matching.sort((a, b) => byteOrder(a.key, b.key))) {
    const folder = folderOf(object.key, prefix, delimiter);
    if (folder !== null && (folder === page.commonPrefixes.at(-1) || byteOrder(folder, after) <= 0)) continue;
    if (page.objects.length + page.commonPrefixes.length >= maxKeys) return { ...page, isTruncated: true };
    if (folder === null) page.objects.push(object);
    else page.commonPrefixes.push(folder);
  }
  return page;
}

function folderOf(key: string, prefix: string, delimiter: string | undefined): string | null {
  const end = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
  return end < 0 || !delimiter ? null : key.slice(0, end + delimiter.length);
}

const surrogate = /[\ud800-\udfff]/;

/** Code units are ordered as bytes are, but for the surrogates of characters beyond the basic plane. */
function byteOrder(a: string, b: string): number {
  if (surrogate.test(a) || surrogate.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}
