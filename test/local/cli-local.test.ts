import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../../lib/cli/main.ts";
import { type LocalEnvironment, openLocalEnvironment } from "../../lib/local/environment.ts";
import { recordIo } from "../cli/support.ts";

/** The commands as they find a persistent environment that is open in their folder. */

let home: string;
let environment: LocalEnvironment;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "table-loader-cli-"));
});
afterAll(async () => {
  await environment?.close();
  await rm(home, { recursive: true, force: true });
});

async function cli(...args: string[]) {
  const io = recordIo(home);
  const exitCode = await runCli(args, io);
  return { exitCode, stdout: io.stdout(), stderr: io.stderr() };
}

test("says both ways to a loader where there is none", async () => {
  const { exitCode, stderr } = await cli("batches");
  expect(exitCode).toBe(4);
  expect(stderr).toMatch(/NOT_CONNECTED: .*--function or OPERATE_FUNCTION.*table-loader local/);
  expect(await cli("batches", "--local")).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining("none runs in"),
  });
  expect(await cli("local", "seed")).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining("LOCAL_NOT_RUNNING"),
  });
  const both = await cli("batches", "--local", "--function", "operate");
  expect(both).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("got both, expected one") });
});

test("seeds, drops example files, and loads them", async () => {
  environment = await openLocalEnvironment({ directory: join(home, ".table-loader"), logLevel: "SILENT" });
  const seeded = await cli("local", "seed");
  expect(seeded).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^10 subjects are there/) });
  const good = join(home, ".table-loader/examples/blood.json");
  expect(JSON.parse(await readFile(good, "utf8")).records).toHaveLength(100);

  const key = "staging/validated/batch_20260101_120000/blood.json";
  expect(await cli("local", "put", good, key)).toMatchObject({ exitCode: 0 });
  const loaded = await cli("approve", "batch_20260101_120000");
  expect(loaded.stderr).toContain("using the local environment that runs in .table-loader/");
  expect(loaded).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/blood +100 +100/) });
});

test("the broken example has ten broken records, each of another kind", async () => {
  const broken = join(home, ".table-loader/examples/blood-broken.json");
  await cli("local", "put", broken, "staging/validated/batch_20260101_130000/blood.json");
  const { exitCode, stdout } = await cli("approve", "batch_20260101_130000", "--json");
  const document = JSON.parse(stdout);
  expect({ exitCode, rejected: document.records_rejected }).toEqual({ exitCode: 1, rejected: 10 });
  const faults = document.rejected_records.map(
    ({ code, field }: { code: string; field: string }) => `${code} ${field}`,
  );
  expect(new Set(faults).size).toBe(10);
});

test("a file that is not there is said so", async () => {
  const { exitCode, stderr } = await cli("local", "put", "nowhere.json", "staging/validated/x.json");
  expect({ exitCode, stderr: stderr.includes("nowhere.json") }).toEqual({ exitCode: 2, stderr: true });
});
