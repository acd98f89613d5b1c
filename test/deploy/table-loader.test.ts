import { PurgeQueueCommand, SendMessageCommand } from "@aws-sdk/client-sqs";
import { afterAll, describe, expect, inject, test } from "vitest";
import { createProgram } from "../../lib/cli/program.ts";
import { recordIo } from "../cli/support.ts";
import { bloods, subjects } from "../support/records.ts";
import { openCli } from "./cli.ts";
import { openClients } from "./clients.ts";
import { openPipeline } from "./pipeline.ts";

/** The CLI against the deployed stack, command by command. */

const deployed = inject("deployed");
const pipeline = openPipeline(deployed);
const { run, json } = openCli(deployed);
const { sqs } = openClients(deployed.emulator);
afterAll(() => pipeline.close());

let used = 0;

/** A batch in staging that nobody has approved, nor started: three participants, each with a blood sample. */
async function staged(more: object = {}): Promise<{ id: string; prefix: string }> {
  used += 1;
  const batch = { id: `batch_20260104_${String(used).padStart(6, "0")}`, prefix: `CLI${used}` };
  await dropBlood(batch, more);
  await pipeline.put(`staging/validated/${batch.id}/subject.json`, JSON.stringify(subjects(batch.prefix, 3)));
  // an arrival that is looked at after the approval would load the batch before the command does
  await pipeline.arrived(batch.id, 2);
  return batch;
}

async function dropBlood({ id, prefix }: { id: string; prefix: string }, more: object = {}): Promise<void> {
  await pipeline.put(`staging/validated/${id}/blood.json`, JSON.stringify(bloods(prefix, 3, more)));
}

const loaded = { status: "success", records_read: 6, records_loaded: 6 };

/** Warnings of doctor that the stack would not get on AWS: the emulator leaves these settings of its bucket out. */
const ofTheEmulator = ["ENCRYPTION_DEFAULT", "LIFECYCLE_UPLOADS"];

async function diagnosis(): Promise<{ exitCode: number; codes: string[] }> {
  const { exitCode, document } = await json("doctor");
  const checks = document.checks as { findings: { code: string }[] }[];
  return { exitCode, codes: checks.flatMap(({ findings }) => findings.map(({ code }) => code)).toSorted() };
}

/** What every command is asked; one without an entry fails the test after this table. */
const commands: Readonly<Record<string, () => Promise<void>>> = {
  async load() {
    const { id } = await staged();
    expect(await json("load", id)).toMatchObject({ exitCode: 3, document: { status: "waiting" } });
    expect((await run("approve", id, "--no-load")).exitCode).toBe(0);
    expect(await json("load", id)).toMatchObject({ exitCode: 0, document: { batch_id: id, ...loaded } });
    expect(await json("load", id)).toMatchObject({ exitCode: 0, document: { status: "already_processed" } });
  },
  async preview() {
    const { id } = await staged();
    const { exitCode, document } = await json("preview", id);
    expect({ exitCode, document }).toMatchObject({ exitCode: 0, document: { would_be: "success", records_loaded: 6 } });
    expect(await pipeline.json(String(document.report_key))).toMatchObject({ batch_id: id });
  },
  async approve() {
    const { id } = await staged();
    expect(await json("approve", id, "--by", "ana")).toMatchObject({ exitCode: 0, document: loaded });
    const rows = await pipeline.sql`
      select distinct approved_by, validation_status from validation_queue where batch_id = ${id}`;
    expect([...rows]).toEqual([{ approved_by: "ana", validation_status: "loaded" }]);
  },
  async retry() {
    const batch = await staged({ tube_type: "bucket" });
    expect(await json("approve", batch.id)).toMatchObject({
      exitCode: 1,
      document: { status: "failed", code: "RECORDS_REJECTED", records_rejected: 3 },
    });
    await dropBlood(batch);
    await pipeline.arrived(batch.id, 3);
    expect((await run("approve", batch.id, "--no-load")).exitCode).toBe(0);
    expect(await json("retry", batch.id)).toMatchObject({ exitCode: 0, document: { attempt: 2, ...loaded } });
  },
  async status() {
    const { id } = await staged();
    await run("approve", id);
    expect(await json("status", id)).toMatchObject({ exitCode: 0, document: { batch_id: id, state: "loaded" } });
    const unknown = await run("status", "batch_19990101_000000");
    expect(unknown).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("BATCH_UNKNOWN") });
  },
  async batches() {
    const { id } = await staged();
    const { stdout } = await run("batches");
    expect(stdout).toContain(id);
  },
  async doctor() {
    const QueueUrl = deployed.outputs.DeadLetterQueueUrl;
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "no event" }));
    expect(await diagnosis()).toEqual({ exitCode: 1, codes: ["DEAD_LETTERS", ...ofTheEmulator] });
    await sqs.send(new PurgeQueueCommand({ QueueUrl }));
    expect(await diagnosis()).toEqual({ exitCode: 0, codes: ofTheEmulator });
  },
};

/** They need no deployed stack. */
const elsewhere = ["local"];

describe("table-loader", () => {
  const ports = { io: recordIo("/"), connect: () => Promise.reject(new Error("not to be called")), end: () => {} };
  const program = createProgram(ports);

  test("has no command that is not tried here", () => {
    const names = program.commands.map((command) => command.name());
    expect(names.filter((name) => !elsewhere.includes(name)).toSorted()).toEqual(Object.keys(commands).toSorted());
  });

  test.each(Object.keys(commands))("%s", (name) => commands[name]?.());

  test("without a command previews, and with --approve loads", async () => {
    const { id } = await staged();
    expect(await json("--batch-id", id)).toMatchObject({ exitCode: 0, document: { would_be: "success" } });
    expect(await pipeline.state(id)).not.toBe("loaded");
    expect(await json("--batch-id", id, "--dry-run")).toMatchObject({ exitCode: 0, document: { status: "preview" } });
    expect(await json("--batch-id", id, "--approve")).toMatchObject({ exitCode: 0, document: loaded });
  });

  test("says which function it does not find", async () => {
    const { exitCode, stderr } = await run("batches", "--function", "TableLoader-nobody");
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("AWS_MISSING") });
    expect(stderr).toContain("TableLoader-nobody");
  });
});
