import { describe, expect, test } from "vitest";
import { PermanentError, TransientError } from "../../lib/core/errors.ts";
import type { ObjectStore } from "../../lib/core/objects.ts";
import type { RecordGroup } from "../../lib/core/records.ts";
import type { Reject } from "../../lib/core/rejects.ts";
import type { WorkItem } from "../../lib/core/work-item.ts";
import { fillRejectTexts, type RejectTextPorts } from "../../lib/steps/reports.ts";

const mebibyte = 1024 * 1024;
const deadline = 1_000_000;
const item = (key: string): WorkItem => ({ object: { key } }) as unknown as WorkItem;
const reject = (key: string, record: number, raw: string | null = null): Reject =>
  ({ key, record, raw, table: "t", code: "CONSTRAINT_FK" }) as unknown as Reject;

type Fragment = { readonly groups: number; readonly bytes?: number; readonly error?: Error };

/** Fragments of groups of ten records each; counts the groups that were read. */
function openPorts(fragments: Readonly<Record<string, Fragment>>, now = (): number => 0) {
  const read: string[] = [];
  const ports: RejectTextPorts = {
    store: {} as ObjectStore,
    now,
    async *read(_, { key }, { from }) {
      const { groups, bytes = 100, error } = fragments[key] ?? { groups: 0 };
      if (from !== null) throw new Error("expected to read from the start");
      for (let group = 0; group < groups; group += 1) {
        read.push(`${key} ${group}`);
        const records = Array.from({ length: 10 }, (_, place) => ({
          number: group * 10 + place + 1,
          offset: 0,
          value: {},
        }));
        yield {
          records,
          bytes,
          rawText: ({ number }: { number: number }) => `${key}#${number}`,
          next: {},
        } as unknown as RecordGroup;
      }
      if (error) throw error;
    },
  };
  return { ports, read };
}

const rawsOf = (rejects: readonly Reject[]) => rejects.map(({ raw }) => raw);

describe("originals of rejects that only the judge found", () => {
  test("are read up to the last wanted record, from the fragments that have any", async () => {
    const { ports, read } = openPorts({ a: { groups: 5 }, b: { groups: 5 }, c: { groups: 5 } });
    const rejects = [reject("a", 3), reject("a", 3), reject("a", 12), reject("b", 4, "known"), reject("c", 1)];
    const filled = await fillRejectTexts(ports, { items: ["a", "b", "c"].map(item), rejects }, deadline);
    expect(rawsOf(filled)).toEqual(["a#3", "a#3", "a#12", "known", "c#1"]);
    expect(read).toEqual(["a 0", "a 1", "c 0"]);
  });

  test("are left out when less than 60 s are left", async () => {
    let now = deadline - 60_500;
    const { ports, read } = openPorts({ a: { groups: 3 }, b: { groups: 3 } }, () => (now += 200));
    const rejects = [reject("a", 30), reject("b", 1)];
    expect(rawsOf(await fillRejectTexts(ports, { items: ["a", "b"].map(item), rejects }, deadline))).toEqual([
      null,
      null,
    ]);
    expect(read).toEqual(["a 0", "a 1"]);
  });

  test("are left out behind 512 MB", async () => {
    const { ports, read } = openPorts({ a: { groups: 20, bytes: 200 * mebibyte }, b: { groups: 1 } });
    const rejects = [reject("a", 5), reject("a", 199), reject("b", 1)];
    const filled = await fillRejectTexts(ports, { items: ["a", "b"].map(item), rejects }, deadline);
    expect(rawsOf(filled)).toEqual(["a#5", null, null]);
    expect(read).toHaveLength(3);
  });

  test("an object that is gone hides nothing; what passes by itself is tried again", async () => {
    const gone = { groups: 1, error: new PermanentError("S3_MISSING", "a: the object version is gone") };
    const rejects = [reject("a", 2), reject("a", 15), reject("b", 1)];
    const items = ["a", "b"].map(item);
    const filled = await fillRejectTexts(openPorts({ a: gone, b: { groups: 1 } }).ports, { items, rejects }, deadline);
    expect(rawsOf(filled)).toEqual(["a#2", null, "b#1"]);
    const away = { groups: 1, error: new TransientError("AWS_UNAVAILABLE", "a: away") };
    await expect(fillRejectTexts(openPorts({ a: away }).ports, { items, rejects }, deadline)).rejects.toThrow(
      "AWS_UNAVAILABLE",
    );
  });
});
