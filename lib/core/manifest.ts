import { z } from "zod";
import type { Fault } from "./errors.ts";
import { stagingPrefixOf } from "./keys.ts";

/** `_manifest.json` of a table that comes in parts: which parts there are, and what each of them holds. */

const part = z.strictObject({
  /** The part's name below the table's folder, or its whole key. */
  key: z.string().min(1).max(1024),
  records: z.number().int().min(0).optional(),
  /** Of the object's bytes, in hex. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/i, "64 hex digits")
    .optional(),
});
const manifestFile = z.strictObject({ fragments: z.array(part).min(1).max(100_000) });

/** What a manifest declares of one part. */
export type DeclaredPart = { readonly key: string; readonly records?: number; readonly sha256?: string };
export type Manifest = {
  readonly table: string;
  readonly parts: readonly DeclaredPart[];
  readonly fault: Fault | null;
};

type Place = { readonly batchId: string; readonly table: string };

/** Parses a manifest; a fault of it is data, because it is the batch's fault and not the reader's. */
export function parseManifest(text: string, place: Place): Manifest {
  const parsed = manifestFile.safeParse(parseJson(text));
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).slice(0, 10);
    return invalid(place, `${faults.join("; ")}; expected { "fragments": [{ "key", "records"?, "sha256"? }] }`);
  }
  const folder = `${stagingPrefixOf(place.batchId)}${place.table}/`;
  const parts = parsed.data.fragments.map(({ key, ...declared }) => ({ ...declared, key: wholeKey(key, folder) }));
  const foreign = parts.filter(({ key }) => !isBelow(key, folder));
  if (foreign.length > 0) {
    return invalid(
      place,
      `${foreign.length} keys are outside of ${folder}; a manifest names only parts of its own table`,
    );
  }
  return { table: place.table, parts: parts as DeclaredPart[], fault: null };
}

function invalid({ table }: Place, text: string): Manifest {
  return { table, parts: [], fault: { code: "MANIFEST_INVALID", message: `table ${table}: _manifest.json: ${text}` } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const wholeKey = (key: string, folder: string): string => (key.includes("/") ? key : `${folder}${key}`);

/** A part lies directly in the folder of its table. */
function isBelow(key: string, folder: string): boolean {
  const name = key.startsWith(folder) ? key.slice(folder.length) : "";
  return name !== "" && !name.includes("/") && name !== ".." && name !== ".";
}
