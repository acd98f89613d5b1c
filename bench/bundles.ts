import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundleOptions } from "../lib/infra/bundle-options.ts";
import { functionSizes, type HandlerName } from "../lib/infra/capacity.ts";

/** The handlers as they are deployed: one file each, made by esbuild with the options of the stack. */
export type Bundle = { readonly handler: HandlerName; readonly file: string; readonly bytes: number };

export const handlerNames = Object.keys(functionSizes) as HandlerName[];

const projectRoot = fileURLToPath(new URL("../", import.meta.url));

/** The source of a handler, which Node runs as it is. */
export const sourceOf = (handler: HandlerName): string => join(projectRoot, "functions", `${handler}.ts`);

export async function bundleHandlers(folder: string): Promise<Map<HandlerName, Bundle>> {
  const bundling = handlerNames.map((handler) => bundleHandler(handler, folder));
  // Where one fails, the others still write: nothing may be removed before they have ended.
  await Promise.allSettled(bundling);
  const bundles = await Promise.all(bundling);
  return new Map(bundles.map((bundle) => [bundle.handler, bundle]));
}

async function bundleHandler(handler: HandlerName, folder: string): Promise<Bundle> {
  const { banner, ...options } = bundleOptions;
  const file = join(folder, handler, "index.mjs");
  await build({
    ...options,
    entryPoints: [sourceOf(handler)],
    outfile: file,
    bundle: true,
    platform: "node",
    format: "esm",
    banner: { js: banner },
    absWorkingDir: projectRoot,
    logLevel: "error",
  });
  return { handler, file, bytes: (await stat(file)).size };
}
