import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Writes the bill of materials of a deployment, in CycloneDX. `npm sbom --omit dev` would leave out packages that a
 * development package needs as well, so npm reads copies of manifest and lock file without development packages.
 */

type Locked = { readonly dev?: boolean };
type Lock = { packages: Record<string, Locked & { devDependencies?: unknown }> };

const root = fileURLToPath(new URL("../", import.meta.url));
const readJson = <Content>(file: string): Content => JSON.parse(readFileSync(join(root, file), "utf8")) as Content;

const { devDependencies: _, ...manifest } = readJson<Record<string, unknown>>("package.json");
const lock = readJson<Lock>("package-lock.json");
lock.packages = Object.fromEntries(Object.entries(lock.packages).filter(([, { dev }]) => !dev));
delete lock.packages[""]?.devDependencies;

const folder = mkdtempSync(join(tmpdir(), "table-loader-sbom-"));
try {
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  writeFileSync(join(folder, "package-lock.json"), JSON.stringify(lock));
  copyFileSync(join(root, ".npmrc"), join(folder, ".npmrc"));
  const args = ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"];
  execFileSync("npm", args, { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
