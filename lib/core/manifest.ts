import { z } from "zod";
import type { Fault } from "./errors.ts";
import { parseJson } from "./json.ts";
import { parseFragmentKey, stagingPrefixOf } from "./keys.ts";
import { largestText } from "./objects.ts";
import { clipText } from "./rejects.ts";

/** `_manifest.json` of a table that comes in parts: it names all parts, and may declare their records and checksums. */

const part = z.strictObject({
  /** The part's name below the table's folder, or its whole key. */
  key: z.string().min(1).max(1024),
  records: z.number().int().min(0).optional(),
  /** The checksum of the object's bytes, in hex. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/i, "64 hex digits")
    .optional(),
});
const manifestFile = z.strictObject({ fragments: z.array(part).min(1).max(100_000) });

/** A part as a manifest declares it, with its whole key. */
export type DeclaredPart = { readonly key: string; readonly records?: number; readonly sha256?: string };

export type Manifest = {
  readonly table: string;
  readonly parts: readonly DeclaredPart[];
  readonly fault: Fault | null;
};

type Place = { readonly batchId: string; readonly table: string };

/** Characters of one fault that a message shows. */
const shownText = 120;
const shownFaults = 10;

/** Parses a manifest and never throws: its fault is data, because it is the batch's. */
export function parseManifest(text: string, place: Place): Manifest {
  const parsed = manifestFile.safeParse(parseJson(text));
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${clipText(message, shownText)}`);
    const expected = 'expected { "fragments": [{ "key", "records"?, "sha256"? }] }';
    return invalid(place, `${faults.slice(0, shownFaults).join("; ")}; ${expected}`);
  }
  const folder = `${stagingPrefixOf(place.batchId)}${place.table}/`;
  const parts = parsed.data.fragments.map(({ key, ...declared }) => ({ ...declared, key: wholeKey(key, folder) }));
  const faults = faultsOfKeys(parts, folder);
  if (faults.length > 0) return invalid(place, faults.slice(0, shownFaults).join("; "));
  return { table: place.table, parts: parts as DeclaredPart[], fault: null };
}

/** A manifest that is too large to be read, with that fault; null if it may be read. */
export function refuseLargeManifest(bytes: number, place: Place): Manifest | null {
  if (bytes <= largestText) return null;
  return invalid(place, `expected at most ${largestText} bytes, got ${bytes}; name every part once, and nothing else`);
}

function invalid({ table }: Place, text: string): Manifest {
  return { table, parts: [], fault: { code: "MANIFEST_INVALID", message: `table ${table}: _manifest.json: ${text}` } };
}

const wholeKey = (key: string, folder: string): string => (key.includes("/") ? key : `${folder}${key}`);

function faultsOfKeys(parts: readonly { readonly key: string }[], folder: string): string[] {
  const firsts = new Map<string, number>();
  return parts.flatMap(({ key }, index) => {
    const first = firsts.get(key);
    if (first === undefined) firsts.set(key, index);
    const fault = first === undefined ? faultOfKey(key, folder) : `is fragments.${first} again; name it once`;
    // the key itself is not shown: it may belong to another batch
    return fault === null ? [] : [`fragments.${index}: the key ${fault}`];
  });
}

const longestName = 255;
/** Encoded separators and control characters: a client that decodes a key once too often would read another name. */
const encoded = /%(?:2[ef]|5c|7f|[01][0-9a-f])/i;

/** The fault of a key; null if it lies directly in the folder of its table, under a name that a fragment may have. */
function faultOfKey(key: string, folder: string): string | null {
  if (!key.startsWith(folder)) return `lies outside of ${folder}; a manifest names only parts of its own table`;
  const name = key.slice(folder.length);
  if (name.length > longestName) return `has a name of ${name.length} characters; at most ${longestName} are allowed`;
  if (/\p{Cc}/u.test(name) || encoded.test(name)) return "has a control character or an encoded one; name it plainly";
  if (parseFragmentKey(key)?.kind === "fragment") return null;
  return "is no name of a part; expected <part>.json, .ndjson or .jsonl, or one of them with .gz";
}
