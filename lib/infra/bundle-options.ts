/** How a handler becomes one file, in the words of esbuild: what is deployed, and what the benchmarks run. */

/** Some packages in the bundle still call `require`. */
const requireBanner = [
  'import { createRequire as requireMaker } from "node:module";',
  "const require = requireMaker(import.meta.url);",
].join("");

export const bundleOptions = {
  target: "node24",
  mainFields: ["module", "main"],
  minify: true,
  banner: requireBanner,
};
