import { createHash } from "node:crypto";
import { glob, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../../", import.meta.url));
/** Whatever the synthesized machine is made from. */
const sources = ["lib/infra/**/*.ts", "lib/core/**/*.ts", "package-lock.json"];

/** The synthesized machine; kept in a file as long as its sources stay the same, because the synthesis takes 3 s. */
export async function readMachineDefinition(cacheDirectory: string): Promise<unknown> {
  const file = join(cacheDirectory, `machine-${await hashSources()}.json`);
  const kept = await readFile(file, "utf8").catch(() => null);
  if (kept !== null) return JSON.parse(kept);
  const { synthesizeMachine } = await import("../infra/synthesize-machine.ts");
  const { definition } = synthesizeMachine();
  await mkdir(cacheDirectory, { recursive: true });
  await writeFile(`${file}.${process.pid}`, JSON.stringify(definition));
  await rename(`${file}.${process.pid}`, file);
  return definition;
}

async function hashSources(): Promise<string> {
  const files: string[] = [];
  for await (const file of glob(sources, { cwd: project })) files.push(file);
  const hash = createHash("sha256");
  for (const file of files.sort()) hash.update(file).update(await readFile(join(project, file)));
  return hash.digest("hex").slice(0, 16);
}

/** Where a checkout keeps it for all its temporary environments and test runs. */
export const sharedCacheDirectory = join(project, "node_modules", ".cache", "table-loader");
