import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build, type Metafile } from "esbuild";
import { functionSizes, type HandlerName } from "../lib/infra/capacity.ts";
import { bundleOptions } from "../lib/infra/loader-function.ts";
import { openChild } from "./child.ts";
import { type BundleResult, median } from "./results.ts";

/** The handlers as they are deployed: one file each, made by esbuild with the options of the stack. */
export type Bundle = {
  readonly handler: HandlerName;
  readonly file: string;
  readonly bytes: number;
  /** A handler that does nothing, bundled in the same way with the SDK's clients and commands that are in `file`. */
  readonly bare: string;
};

const handlerNames = Object.keys(functionSizes) as HandlerName[];

const projectRoot = fileURLToPath(new URL("../", import.meta.url));

/** The source of a handler, which Node runs as it is. */
export const sourceOf = (handler: HandlerName): string => join(projectRoot, "functions", `${handler}.ts`);

export async function bundleHandlers(folder: string): Promise<Map<HandlerName, Bundle>> {
  const bundling = handlerNames.map((handler) => bundleHandler(handler, folder));
  // If one fails, the others still write: nothing may be removed before they have ended.
  await Promise.allSettled(bundling);
  const bundles = await Promise.all(bundling);
  return new Map(bundles.map((bundle) => [bundle.handler, bundle]));
}

async function bundleHandler(handler: HandlerName, folder: string): Promise<Bundle> {
  const file = join(folder, handler, "index.mjs");
  const { inputs } = await bundle({ entryPoints: [sourceOf(handler)] }, file);
  const bare = join(folder, handler, "bare.mjs");
  await bundle({ stdin: { contents: bareSource(inputs), resolveDir: projectRoot, sourcefile: "bare.js" } }, bare);
  return { handler, file, bytes: (await stat(file)).size, bare };
}

type Entry = Pick<BuildOptions, "entryPoints" | "stdin">;
type Output = Metafile["outputs"][string];

async function bundle(entry: Entry, file: string): Promise<Output> {
  const { banner, ...options } = bundleOptions;
  const { metafile } = await build({
    ...options,
    ...entry,
    outfile: file,
    bundle: true,
    platform: "node",
    format: "esm",
    banner: { js: banner },
    absWorkingDir: projectRoot,
    logLevel: "error",
    metafile: true,
  });
  return Object.values(metafile.outputs)[0] as Output;
}

/** A package of the SDK that talks to a service, and in it the class of a client or a command. */
const sdkClass = /node_modules\/(@aws-sdk\/(?:client-[^/]+|rds-signer))\/dist-[^/]+\/(?:commands\/)?([A-Z]\w*)\.js$/;
const clientOrCommand = /(?:Client|Command|Signer)$/;

/**
 * The source of a handler that does nothing and holds the same parts of the SDK as another one.
 *
 * @param inputs the files that went into the other one's bundle, as esbuild names them
 */
export function bareSource(inputs: Readonly<Record<string, { readonly bytesInOutput: number }>>): string {
  const classes = Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => {
    const [, name, exported] = sdkClass.exec(path) ?? [];
    return name && exported && bytesInOutput > 0 && clientOrCommand.test(exported) ? [{ name, exported }] : [];
  });
  const imports = classes.map(({ name, exported }) => `import { ${exported} } from "${name}";`);
  return [...imports, `export const handler = () => [${classes.map(({ exported }) => exported).join(", ")}];`].join(
    "\n",
  );
}

/** The median of fewer imports is a matter of luck, and a bar is judged by it. */
const leastImports = 3;

/**
 * Sizes of the bundles, and times of their cold imports.
 *
 * @param rounds how often each file is imported, but at least three times; the median counts
 */
export async function measureBundles(
  { folder, bundles }: { readonly folder: string; readonly bundles: ReadonlyMap<HandlerName, Bundle> },
  rounds: number,
): Promise<BundleResult[]> {
  const imports = Math.max(rounds, leastImports);
  const empty = join(folder, "empty.mjs");
  await writeFile(empty, "export {};\n");
  const nothing = (await importTimes([empty], imports))[0] ?? 0;
  const results: BundleResult[] = [];
  for (const { handler, file, bytes, bare } of bundles.values()) {
    const [own = 0, other = 0] = await importTimes([file, bare], imports);
    results.push({ handler, bytes, importMilliseconds: own - nothing, bareMilliseconds: other - nothing });
  }
  return results;
}

/** The median time of each file; they take turns, so that other load on the machine meets all alike. */
async function importTimes(files: readonly string[], rounds: number): Promise<number[]> {
  const measured = files.map((): number[] => []);
  for (let round = 0; round < rounds; round += 1)
    for (const [index, file] of files.entries()) measured[index]?.push(await importMilliseconds(file));
  return measured.map(median);
}

async function importMilliseconds(file: string): Promise<number> {
  const child = await openChild<{ milliseconds: number }>({ file: "cold-import.ts", args: [file] });
  await child.close();
  return child.hello.milliseconds;
}
