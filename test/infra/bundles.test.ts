import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CloudResource } from "../../lib/infra/synthesize-machine.ts";
import { loaderFunctions, synthesizeInto } from "./support/synthesize.ts";

/** What Lambda gets, made by the bundler that a deployment uses. */

const mostBytes = 1.5 * 1024 ** 2;
/** Eleven bundles, one after the other, on a machine that has other things to do. */
const bundlingMilliseconds = 300_000;
const folder = mkdtempSync(join(tmpdir(), "table-loader-bundles-"));
let assets: Map<string, string>;

beforeAll(() => {
  const functions = loaderFunctions(synthesizeInto(folder).pipeline);
  const assetOf = ({ Properties }: CloudResource): string => {
    const { S3Key = "" } = (Properties?.Code ?? {}) as { S3Key?: string };
    return join(folder, `asset.${S3Key.replace(".zip", "")}`);
  };
  assets = new Map([...functions].map(([name, resource]) => [name, assetOf(resource)]));
}, bundlingMilliseconds);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("every bundle is small enough to start fast", () => {
  expect(assets.size).toBe(11);
  for (const [name, asset] of assets) {
    expect(statSync(join(asset, "index.mjs")).size, name).toBeLessThan(mostBytes);
  }
});

test("the authorities of the database lie beside those bundles that connect to it, and beside no other", () => {
  for (const [name, asset] of assets) {
    const files = readdirSync(asset).toSorted();
    const own = name === "migrate" ? ["migrations"] : [];
    const shipped = name === "start-load" ? [] : ["database-ca.pem"];
    expect(files, name).toEqual([...shipped, "index.mjs", ...own]);
    if (name !== "start-load") new X509Certificate(readFileSync(join(asset, "database-ca.pem")));
  }
});

/** What the bundled migrate answers where nobody listens on the database's port. */
async function migrateIn(asset: string): Promise<string> {
  const script = `import(${JSON.stringify(join(asset, "index.mjs"))})
    .then(({ handler }) => handler({}, { getRemainingTimeInMillis: () => 60000 }))
    .then(() => console.log("migrated"), (error) => console.log(error.message))
    .finally(() => process.exit())`;
  const environment = {
    DB_HOST: "127.0.0.1",
    DB_PORT: "1",
    DB_PASSWORD: "none",
    DB_CA: "bundled",
    LOG_LEVEL: "SILENT",
  };
  const { stdout } = await promisify(execFile)("node", ["-e", script], { env: { ...process.env, ...environment } });
  return stdout.trim();
}

test("a bundle finds the authorities where the deployment lays them", async () => {
  const asset = assets.get("migrate") ?? "";
  expect(await migrateIn(asset)).toMatch(/^DB_UNAVAILABLE/m);
  const bare = mkdtempSync(join(folder, "bare-"));
  copyFileSync(join(asset, "index.mjs"), join(bare, "index.mjs"));
  expect(await migrateIn(bare)).toContain(
    `DB_TLS: certificate authorities: ${join(bare, "database-ca.pem")} is no readable PEM file of certificates; correct DB_CA or the file`,
  );
});
