import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ValidatePorts } from "../../lib/steps/validate-batch.ts";
import { validateBatch } from "../../lib/steps/validate-batch.ts";
import { captureLines } from "../aws/support/captured-output.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { nextBatch, stagingKey } from "./bad-input-support.ts";

const badIds = [
  "../../etc/passwd",
  "batch_20260101_000000/../../x",
  "%2e%2e%2f",
  "/absolute",
  "s3://stranger/x",
  "batch_20260101_00000\u0000",
  "batch_20260101_000000\n",
  "batch_20260101_000000\r\nSet-Cookie: x",
  "\u001b[31mbatch_20260101_000000",
  "batch_20260101_000000'; drop table plain; --",
  "",
  "x".repeat(300),
  "x".repeat(10_000),
];

describe("X02: a batch id that is none", () => {
  /** Ports that nobody may touch; only the pattern is known. */
  const untouchable = new Proxy({} as ValidatePorts, {
    get: (_, port) => {
      if (port === "settings") return { batchIdPattern: /^batch_[0-9]{8}_[0-9]{6}$/ };
      throw new Error(`port ${String(port)} was touched`);
    },
  });

  test.each(badIds.map((id) => [JSON.stringify(id.slice(0, 40)), id]))(
    "%s is refused before any S3 or database call",
    async (_, batchId) => {
      for (const extra of [{}, { dryRun: true }, { action: "retry" }]) {
        const refused = await validateBatch(untouchable, { input: { batchId, ...extra }, execution: "e" });
        expect(refused).toMatchObject({ next: "refused", batchId: "" });
        expect(["BATCH_INVALID_ID", "INPUT_INVALID"]).toContain(refused.code);
        expect(refused.message?.length).toBeLessThan(600);
      }
    },
  );

  test("an unknown key or table name out of bounds is refused by name", async () => {
    const input = { batchId: "batch_20260101_000000", tabels: ["x"] };
    expect(await validateBatch(untouchable, { input, execution: "e" })).toMatchObject({
      next: "refused",
      code: "INPUT_INVALID",
    });
  });
});

describe("through the flow", () => {
  let flow: Flow;
  beforeAll(async () => {
    const contracts = JSON.stringify({ tables: { plain: { natural_key: ["k"] } } });
    flow = await openFlow({ contracts, variables: { LOG_LEVEL: "INFO", REQUIRE_APPROVAL: "false" } });
    await flow.sql.unsafe("create table plain (k int primary key, t text)");
  });
  afterAll(() => flow.close());

  test("X02: such an execution ends red, and leaves no trace", async () => {
    for (const batchId of ["../x", "batch_20260101_000000\n", "x".repeat(300)]) {
      let error: string | null = null;
      await captureLines(async () => {
        error = (await flow.run({ batchId })).error;
      });
      expect(error).toBe("BATCH_INVALID_ID");
    }
    expect(await flow.sql`select * from table_loader.batches`).toEqual([]);
  });

  test("X04: line ends, ANSI codes and quotes in keys and values: every log line is one JSON object", async () => {
    const nasty = 'a"b\u001b[31m\r\nfake {"level":"ERROR"}';
    const batchId = nextBatch();
    const lines = await captureLines(async () => {
      await flow.put(stagingKey(batchId, "plain/part-1.json"), [{ k: 1, t: nasty, [nasty]: 1 }]);
      await flow.put(stagingKey(batchId, 'plain/q"uote\u001b[31m\n.json'), "not JSON");
      await flow.put(stagingKey(batchId, "plain/_SUCCESS"), "");
      await flow.queueRow({ batchId, table: "plain", approved: true });
      expect((await flow.run({ batchId })).error).toBe("JSON_SYNTAX");
    });
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(line).toMatchObject({ level: expect.any(String), message: expect.any(String) });
    expect(lines.filter(({ level }) => level === "ERROR").map(({ code }) => code)).not.toContain(undefined);
    expect(lines).toContainEqual(expect.objectContaining({ code: "JSON_SYNTAX", table: "plain" }));
    const log = await flow.json(`failed/${batchId}/error_log.json`);
    expect(log).toMatchObject({ fragments: [{ key: stagingKey(batchId, 'plain/q"uote\u001b[31m\n.json') }] });
  });
});
