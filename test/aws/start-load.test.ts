import { expect, test } from "vitest";
import { TransientError } from "../../lib/core/errors.ts";
import type { ExecutionInput } from "../../lib/core/execution.ts";
import { startLoad } from "../../lib/steps/start-load.ts";

const bucket = "idhub-curated-fragments";
const batch = (n: number): string => `batch_20250101_00000${n}`;
const throttled = new TransientError("AWS_THROTTLED", "AWS asks to slow down");

function message(messageId: string, key: string, changes: { bucket?: string; sequencer?: string } = {}) {
  const { bucket: name = bucket, sequencer = messageId } = changes;
  const detail = { bucket: { name }, object: { key, size: 1, etag: "e", sequencer } };
  return {
    messageId,
    body: JSON.stringify({ source: "aws.s3", "detail-type": "Object Created", account: "1", detail }),
  };
}

const fragment = (n: number, table: string): string => `staging/validated/${batch(n)}/${table}.json`;

function openPorts(faults: { start?: string; deadLetters?: boolean } = {}) {
  const started: { name: string; input: ExecutionInput }[] = [];
  const refused: string[] = [];
  const lines: unknown[] = [];
  const note = (_: string, fields?: Readonly<Record<string, unknown>>): void => {
    lines.push(fields?.code);
  };
  const ports = {
    executions: {
      async start(name: string, input: ExecutionInput) {
        if (input.batchId === faults.start) throw throttled;
        const duplicate = started.some((other) => other.name === name);
        started.push({ name, input });
        return { executionArn: name, duplicate };
      },
    },
    deadLetters: {
      async send(_body: string, { code }: { code: string }) {
        if (faults.deadLetters) throw throttled;
        refused.push(code);
      },
    },
    log: { info: note, warn: note },
    settings: { bucket, batchIdPattern: /^batch_[0-9]{8}_[0-9]{6}$/ },
  };
  return { ports, started, refused, lines };
}

test("starts one execution for the events of one batch (E02)", async () => {
  const { ports, started } = openPorts();
  const same = Array.from({ length: 10 }, (_, index) => message(`m${index}`, fragment(1, "blood"), { sequencer: "1" }));
  const Records = [...same, message("n", fragment(1, "dna")), message("o", fragment(2, "dna"))];
  expect(await startLoad(ports, { Records })).toEqual({ batchItemFailures: [] });
  expect(started.map(({ input }) => [input.batchId, input.source, input.action])).toEqual([
    [batch(1), "arrival", "load"],
    [batch(2), "arrival", "load"],
  ]);
});

test("a redelivery is a duplicate, and green", async () => {
  const { ports, lines } = openPorts();
  const event = { Records: [message("m", fragment(1, "blood"))] };
  await startLoad(ports, event);
  expect(await startLoad(ports, event)).toEqual({ batchItemFailures: [] });
  expect(lines).toEqual(["EVT_STARTED", "EVT_DUPLICATE"]);
});

test("gives back only the messages of the batch that could not be started (E07)", async () => {
  const { ports, started, lines } = openPorts({ start: batch(1) });
  const Records = [message("a", fragment(1, "x")), message("b", fragment(2, "x")), message("c", fragment(1, "y"))];
  const answer = await startLoad(ports, { Records });
  expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: "a" }, { itemIdentifier: "c" }] });
  expect(started).toHaveLength(1);
  expect(lines).toContain("AWS_THROTTLED");
});

test("puts what is malformed or foreign aside at once, and the others go on (E10)", async () => {
  const { ports, started, refused } = openPorts();
  const foreign = message("b", fragment(1, "x"), { bucket: "stranger" });
  const Records = [{ messageId: "a", body: "{" }, foreign, message("c", fragment(1, "x"))];
  expect(await startLoad(ports, { Records })).toEqual({ batchItemFailures: [] });
  expect(refused).toEqual(["EVT_MALFORMED", "EVT_FOREIGN_BUCKET"]);
  expect(started).toHaveLength(1);
});

test("gives back what could not even be put aside", async () => {
  const { ports } = openPorts({ deadLetters: true });
  const answer = await startLoad(ports, { Records: [{ messageId: "a", body: "{" }, message("c", fragment(1, "x"))] });
  expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: "a" }] });
});

test("is done with keys that are none of its business (E05)", async () => {
  const { ports, started, refused, lines } = openPorts();
  const Records = [message("a", "loaded/x/blood.json"), message("b", "staging/validated/bad/blood.json")];
  expect(await startLoad(ports, { Records })).toEqual({ batchItemFailures: [] });
  expect([started, refused]).toEqual([[], []]);
  expect(lines).toEqual(["EVT_IGNORED_KEY", "BATCH_INVALID_ID"]);
});
