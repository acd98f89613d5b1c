import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Arrival, executionNameOf, parseArrival } from "../../lib/core/arrivals.ts";

const settings = {
  bucket: "idhub-curated-fragments",
  batchIdPattern: /^batch_[0-9]{8}_[0-9]{6}$/,
  account: "123456789012",
};
const batchId = "batch_20250101_000000";

type Changes = { key?: string; bucket?: string; account?: string; type?: string; object?: object };

function eventOf({ key = `staging/validated/${batchId}/blood.json`, ...changes }: Changes = {}): string {
  return JSON.stringify({
    version: "0",
    source: "aws.s3",
    "detail-type": changes.type ?? "Object Created",
    account: changes.account ?? "123456789012",
    detail: {
      bucket: { name: changes.bucket ?? settings.bucket },
      object: { key, size: 2, etag: "e1", "version-id": "v1", sequencer: "0A", ...changes.object },
      reason: "PutObject",
    },
  });
}

const kindOf = (body: string): string => {
  const parsed = parseArrival(body, settings);
  return parsed.kind === "arrival" ? "arrival" : `${parsed.kind} ${parsed.reason.code}`;
};

describe("parseArrival", () => {
  test("takes a fragment", () => {
    const key = `staging/validated/${batchId}/blood.json`;
    const arrival = { kind: "arrival", batchId, key, versionId: "v1", etag: "e1", size: 2, sequencer: "0A" };
    expect(parseArrival(eventOf(), settings)).toEqual(arrival);
  });

  test.each(["blood/part +1%20é.ndjson.gz", "blood/_SUCCESS", "blood/_manifest.json", "a b.jsonl"])(
    "takes %s, its key raw",
    (name) => {
      const key = `staging/validated/${batchId}/${name}`;
      expect(parseArrival(eventOf({ key }), settings)).toMatchObject({ kind: "arrival", key });
    },
  );

  test("needs neither version nor sequencer, as in an unversioned bucket", () => {
    const object = { "version-id": undefined, sequencer: undefined };
    expect(parseArrival(eventOf({ object }), settings)).toMatchObject({ versionId: null, sequencer: "" });
  });

  test.each([
    `staging/validated/${batchId}/`,
    `staging/validated/${batchId}/blood/`,
    `staging/validated/${batchId}/a/b/c.json`,
    `staging/validated/${batchId}/blood.csv`,
    "staging/validated/blood.json",
    "staging/raw/x.json",
    `loaded/${batchId}/blood.json`,
    `loaded/${batchId}/load_result.json`,
    `failed/${batchId}/error_log.json`,
    `previews/${batchId}/r.json`,
    "config/tables.json",
  ])("ignores %s (E05)", (key) => {
    expect(kindOf(eventOf({ key }))).toBe("ignored EVT_IGNORED_KEY");
  });

  test.each(["..", "%2e%2e", "batch_1", "batch_20250101_000000'; drop table", "x\r\nforged", "a".repeat(300)])(
    "ignores the batch id %j (X02)",
    (id) => {
      expect(kindOf(eventOf({ key: `staging/validated/${id}/blood.json` }))).toBe("ignored BATCH_INVALID_ID");
    },
  );

  test.each([
    "",
    "no json",
    "null",
    "[]",
    "{}",
    '{"Service":"Amazon S3","Event":"s3:TestEvent"}',
    eventOf({ key: "" }),
  ])("refuses %j (E10)", (body) => expect(kindOf(body)).toBe("refused EVT_MALFORMED"));

  test.each([
    ["another type", { type: "Object Deleted" }, "EVT_MALFORMED"],
    ["another bucket", { bucket: "stranger" }, "EVT_FOREIGN_BUCKET"],
    ["another account", { account: "999999999999" }, "EVT_FOREIGN_BUCKET"],
  ])("refuses %s (E10)", (_, changes, code) => {
    expect(kindOf(eventOf(changes))).toBe(`refused ${code}`);
  });

  test("never throws", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (body) => kindOf(body).length > 0));
  });
});

describe("executionNameOf", () => {
  const arrivals = fc.array(
    fc
      .record({ key: fc.string(), sequencer: fc.string() })
      .map((ids): Arrival => ({ kind: "arrival", batchId, versionId: null, etag: "e", size: 1, ...ids })),
  );

  test("depends on neither order nor repetition (E02)", () => {
    fc.assert(
      fc.property(arrivals, (some) => {
        const name = executionNameOf(batchId, some);
        expect(executionNameOf(batchId, [...some].reverse())).toBe(name);
        expect(executionNameOf(batchId, [...some, ...some])).toBe(name);
      }),
    );
  });

  test("is a name that Step Functions takes, with room for a suffix", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), arrivals, (id, some) => {
        expect(executionNameOf(id, some)).toMatch(/^[A-Za-z0-9_-]{25,76}$/);
      }),
    );
  });

  test("differs for a new version of the same key", () => {
    const arrival: Arrival = {
      kind: "arrival",
      batchId,
      key: "k",
      versionId: "v1",
      etag: "e",
      size: 1,
      sequencer: "1",
    };
    expect(executionNameOf(batchId, [arrival])).not.toBe(executionNameOf(batchId, [{ ...arrival, sequencer: "2" }]));
  });
});
