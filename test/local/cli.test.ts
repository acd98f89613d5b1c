import { tmpdir } from "node:os";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Connect } from "../../lib/cli/connect.ts";
import { runCli } from "../../lib/cli/main.ts";
import { operateInProcess } from "../../lib/local/attached-operate.ts";
import { exampleBloodRecords, experimentParents } from "../../lib/local/sample/sample-records.ts";
import { recordIo } from "../cli/support.ts";
import { type Flow, openFlow } from "../support/flow.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
  const { body } = experimentParents();
  await flow.put("staging/validated/batch_20250101_000000/subject.json", body);
  expect((await cli("approve", "batch_20250101_000000")).exitCode).toBe(0);
});
afterAll(() => flow.close());

const connect: Connect = async () => ({ operate: operateInProcess, pollMilliseconds: 20, close: () => {} });

/** Runs a command as a process would, with nobody at a terminal. */
async function cli(...args: string[]) {
  return answering(null, ...args);
}

async function answering(answer: boolean | null, ...args: string[]) {
  const io = recordIo(tmpdir(), answer);
  const exitCode = await runCli(args, io, connect);
  return { exitCode, stdout: io.stdout(), stderr: io.stderr() };
}

async function json(...args: string[]) {
  const { stdout, ...rest } = await cli(...args, "--json");
  return { ...rest, document: JSON.parse(stdout) as Record<string, unknown> };
}

/** Ten good records that no other test has. */
let used = 0;
function freshRecords(): object[] {
  used += 10;
  return exampleBloodRecords(used).slice(used - 10);
}
const dropBlood = (batchId: string, records: object[]) =>
  flow.put(`staging/validated/${batchId}/blood.json`, { records });
const broken = () => [...freshRecords().slice(1), { ...freshRecords()[0], volume_ml: "12,5" }];

test("previews, refuses without approval, approves, loads, and knows it afterwards", async () => {
  const batchId = "batch_20260101_000001";
  await dropBlood(batchId, freshRecords());

  const preview = await cli("preview", batchId);
  expect(preview).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("would load (nothing was changed)") });
  expect(preview.stdout).toMatch(/blood: insert_only on sample_id/);

  const early = await cli("load", batchId);
  expect(early).toMatchObject({ exitCode: 3, stdout: expect.stringContaining("NOT_QUEUED: ") });
  expect(early.stdout).toContain(`what to do: table-loader approve ${batchId}`);

  const approved = await cli("approve", batchId, "--by", "ana");
  expect(approved.exitCode).toBe(0);
  expect(approved.stderr).toContain("approved blood by ana; new in validation_queue: blood");
  expect(approved.stdout).toMatch(/blood +10 +10 +0 +0 +0 +0 +0/);
  expect(approved.stdout).toContain(`archive  loaded/${batchId}/`);

  const again = await json("load", batchId);
  expect(again).toMatchObject({ exitCode: 0, document: { status: "already_processed", records_loaded: 10 } });

  const status = await cli("status", batchId);
  expect(status.stdout).toMatch(/loaded \(OK, epoch 1\)/);
  expect(status.stdout).toMatch(/by ana/);
  expect((await cli("batches")).stdout).toMatch(new RegExp(`${batchId} +loaded +1/1 +no`));
});

test("the flags without a command preview, then approve and load", async () => {
  const batchId = "batch_20260101_000002";
  await dropBlood(batchId, freshRecords());
  const preview = await json("--batch-id", batchId);
  expect(preview).toMatchObject({
    exitCode: 0,
    document: { status: "preview", would_be: "success", records_loaded: 10 },
  });
  expect(preview.document).toMatchObject({ report_key: expect.stringMatching(`^previews/${batchId}/`) });
  const loaded = await json("--batch-id", batchId, "--approve", "--force", "--table-name", "blood");
  expect(loaded).toMatchObject({ exitCode: 0, document: { status: "success", records_loaded: 10, epoch: 1 } });
});

test("names the rejected records of a failed batch, and loads it again once it is mended", async () => {
  const batchId = "batch_20260101_000003";
  await dropBlood(batchId, broken());
  const preview = await cli("preview", batchId);
  expect(preview).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("would fail") });

  const failed = await cli("approve", batchId);
  expect(failed.exitCode).toBe(1);
  expect(failed.stdout).toContain("RECORDS_REJECTED: 1 of 10 records");
  expect(failed.stdout).toMatch(/record 10: VALUE_TYPE\n +volume_ml got "12,5"\n +expected numeric/);
  expect(failed.stdout).toContain(`error log  failed/${batchId}/error_log.json`);

  const unmended = await json("load", batchId);
  expect(unmended).toMatchObject({ exitCode: 1, document: { status: "failed", code: "BATCH_FAILED" } });

  await dropBlood(batchId, freshRecords());
  expect((await cli("approve", batchId, "--no-load")).exitCode).toBe(0);
  const retried = await json("retry", batchId);
  expect(retried).toMatchObject({ exitCode: 0, document: { status: "success", attempt: 2, records_loaded: 10 } });
});

test("with --json, a failure is one document with its rejected records", async () => {
  const batchId = "batch_20260101_000004";
  await dropBlood(batchId, broken());
  const { exitCode, document } = await json("approve", batchId);
  expect(exitCode).toBe(1);
  expect(document).toMatchObject({
    batch_id: batchId,
    status: "failed",
    code: "RECORDS_REJECTED",
    error_log_key: `failed/${batchId}/error_log.json`,
    records_rejected: 1,
    rejected_records: [{ table: "blood", record: 10, field: "volume_ml", code: "VALUE_TYPE", got: '"12,5"' }],
    tables: { blood: { status: "failed" } },
  });
});

test("at a terminal, load shows the preview and asks; no means no", async () => {
  const batchId = "batch_20260101_000005";
  await dropBlood(batchId, freshRecords());
  await cli("approve", batchId, "--no-load");

  const declined = await answering(false, "load", batchId);
  expect(declined).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/blood +10 +10/) });
  expect(declined.stderr).toContain(`load ${batchId}?`);
  expect(declined.stderr).toContain("nothing was loaded");
  expect((await json("status", batchId)).document).toMatchObject({ state: "queued" });

  const forced = await answering(false, "load", batchId, "--force");
  expect(forced.stderr).not.toContain("?");
  expect(forced.exitCode).toBe(0);
});

test("--force is no approval", async () => {
  const batchId = "batch_20260101_000006";
  await dropBlood(batchId, freshRecords());
  expect(await json("load", batchId, "--force")).toMatchObject({ exitCode: 3, document: { code: "NOT_QUEUED" } });
});

test("says what there is nothing of", async () => {
  const batchId = "batch_20991231_235959";
  expect(await json("approve", batchId)).toMatchObject({ exitCode: 2, document: { code: "NOTHING_TO_APPROVE" } });
  expect(await json("preview", batchId)).toMatchObject({ exitCode: 3, document: { code: "BATCH_EMPTY" } });
  expect(await json("load", batchId)).toMatchObject({ exitCode: 3, document: { code: "BATCH_EMPTY" } });
  expect(await json("status", "batch_20991231_235958")).toMatchObject({
    exitCode: 2,
    document: { code: "BATCH_UNKNOWN" },
  });
});
