import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import type { BucketLimits } from "../../lib/aws/bucket-access.ts";
import { type OpenObjectStore, openObjectStore } from "../../lib/aws/object-store.ts";
import type { ListedObject } from "../../lib/core/objects.ts";
import { codeOf, listAll, readAll } from "../aws/support/local-store.ts";
import { createBucket, listVersions, openS3, putObject } from "./support.ts";

const region = "us-east-1";
const s3 = openS3();
let bucket: string;
let store: OpenObjectStore;
const stores: OpenObjectStore[] = [];

beforeAll(async () => {
  bucket = await createBucket(s3);
  store = open();
});
afterAll(() => {
  for (const opened of stores) opened.close();
  s3.destroy();
});

function open(limits: Partial<BucketLimits> = {}): OpenObjectStore {
  const endpoint = inject("motoEndpoint");
  const opened = openObjectStore({ bucket, region, versioning: true, bucketOwner: null, endpoint, limits });
  stores.push(opened);
  return opened;
}

const put = async (key: string, body: string): Promise<string> =>
  (await putObject(s3, { bucket, key, body })).versionId;

async function find(key: string, versionId: string): Promise<ListedObject> {
  const found = (await listAll(store, key)).find((object) => object.key === key && object.versionId === versionId);
  if (!found) throw new Error(`no version ${versionId} of ${key}`);
  return found;
}

const left = async (prefix: string) => (await listVersions(s3, bucket, prefix)).map(({ versionId }) => versionId);

describe("list", () => {
  test("gives every version of a key, the newest first, and none as the latest below a delete marker", async () => {
    const [one, two] = [await put("list/a.json", "1"), await put("list/a.json", "2")];
    const hidden = await put("list/b.json", "3");
    await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: "list/b.json" }));
    const listed = await listAll(store, "list/");
    expect(listed.map(({ key, versionId, isLatest }) => [key, versionId, isLatest])).toEqual([
      ["list/a.json", two, true],
      ["list/a.json", one, false],
      ["list/b.json", hidden, false],
    ]);
  });

  test("gives keys as they were written", async () => {
    const keys = ["+ plus", "a b", "é ü 検体", "100%", "a&b<c>", 'q"uote', "line~"].map((name) => `odd/${name}.json`);
    const ids = new Map<string, string>();
    for (const key of keys) ids.set(key, await put(key, key));
    const listed = await listAll(store, "odd/");
    expect(listed.map(({ key }) => key).toSorted()).toEqual(keys.toSorted());
    for (const object of listed) {
      expect(object.versionId).toBe(ids.get(object.key));
      expect(await readAll(store, object)).toBe(object.key);
    }
  });

  test("goes on over all pages, also in the middle of a key", async () => {
    const send = S3Client.prototype.send as (this: S3Client, ...call: unknown[]) => Promise<unknown>;
    const pages = vi.spyOn(S3Client.prototype, "send").mockImplementation(function (
      this: S3Client,
      ...call: unknown[]
    ) {
      if (call[0] instanceof ListObjectVersionsCommand) call[0].input.MaxKeys = 2;
      return send.apply(this, call);
    });
    const put3 = async (key: string): Promise<string[]> => [
      await put(key, "1"),
      await put(key, "2"),
      await put(key, "3"),
    ];
    const [one, two] = [await put3("pages/é +1.json"), await put3("pages/é +2.json")];
    pages.mockClear();
    const listed = await listAll(store, "pages/");
    expect(pages).toHaveBeenCalledTimes(3);
    pages.mockRestore();
    expect(listed.map(({ versionId }) => versionId)).toEqual([...one.toReversed(), ...two.toReversed()]);
    expect(listed.filter(({ isLatest }) => isLatest)).toHaveLength(2);
  });
});

describe("read", () => {
  test("gets the version that it names, after the object was replaced and after it was deleted", async () => {
    const one = await find("read/a.json", await put("read/a.json", "first"));
    await put("read/a.json", "another");
    expect(await readAll(store, one)).toBe("first");
    expect(await readAll(store, one, 2)).toBe("rst");
    await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: one.key }));
    expect(await readAll(store, one)).toBe("first");
  });

  test("names key and version where the version is gone", async () => {
    const one = await find("read/gone.json", await put("read/gone.json", "first"));
    await put("read/gone.json", "newer");
    await store.remove(one);
    const fault = await codeOf(readAll(store, one));
    expect(fault).toMatchObject({ name: "PermanentError", code: "S3_MISSING" });
    expect(fault.message).toContain(`read/gone.json version ${one.versionId}`);
  });
});

describe("move", () => {
  test("takes an older version away and leaves the newer one current", async () => {
    const one = await find("move/a.json", await put("move/a.json", "first"));
    const two = await put("move/a.json", "second");
    await store.move(one, "moved/a.json");
    expect(await readAll(store, await find("moved/a.json", (await left("moved/a.json"))[0] ?? ""))).toBe("first");
    expect(await left("move/a.json")).toEqual([two]);
  });

  test("may be repeated, at every point where it can have ended before", async () => {
    const one = await find("again/a.json", await put("again/a.json", "first"));
    await put("again/moved.json", "first");
    await store.move(one, "again/moved.json");
    expect(await left("again/a.json")).toEqual([]);
    await store.move(one, "again/moved.json");
    expect(await left("again/moved.json")).toHaveLength(1);
  });

  test("refuses to write over other content, also of the same length", async () => {
    const one = await find("clash/a.json", await put("clash/a.json", "first"));
    await put("clash/moved.json", "thief");
    expect(await codeOf(store.move(one, "clash/moved.json"))).toMatchObject({ code: "ARCHIVE_CONFLICT" });
    expect(await left("clash/a.json")).toEqual([one.versionId]);
  });

  test("says which version is gone, where there is no copy either", async () => {
    const one = await find("lost/a.json", await put("lost/a.json", "first"));
    await store.remove(one);
    const fault = await codeOf(store.move(one, "lost/moved.json"));
    expect(fault).toMatchObject({ code: "S3_MISSING", message: expect.stringContaining(one.versionId ?? "") });
  });

  test("copies odd keys", async () => {
    const key = "odd move/+ é 100%.json";
    const one = await find(key, await put(key, "odd"));
    await store.move(one, `odd moved/${key}`);
    expect(await left("odd move/")).toEqual([]);
    expect((await store.readText(`odd moved/${key}`))?.text).toBe("odd");
  });
});

describe("move in parts", () => {
  const mebibyte = 1024 ** 2;
  const big = (letter: string): string => letter.repeat(12 * mebibyte + 17);
  const limits = { largestCopyBytes: 6 * mebibyte, copyPartBytes: 5 * mebibyte };

  test("copies a version in parts, verifies it by its bytes, and deletes the source", async () => {
    const one = await find("parts/a.json", await put("parts/a.json", big("a")));
    const two = await put("parts/a.json", "small");
    await open(limits).move(one, "parts-moved/a.json");
    const head = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: "parts-moved/a.json" }));
    expect(head).toMatchObject({ ContentLength: one.size, ContentType: "application/json" });
    expect(head.ETag).toMatch(/-3"$/);
    expect((await store.readText("parts-moved/a.json"))?.text).toBe(big("a"));
    expect(await left("parts/a.json")).toEqual([two]);
  });

  test("K07 gives up what somebody began for the same key and for no other, and leaves no upload of its own", async () => {
    const Key = "parts-left/moved.json";
    const other = `${Key}.other`;
    for (const key of [Key, other]) await s3.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }));
    const one = await find("parts-left/a.json", await put("parts-left/a.json", big("b")));
    await open(limits).move(one, Key);
    expect(await left("parts-left/a.json")).toEqual([]);
    const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    expect(Uploads?.map((upload) => upload.Key)).toEqual([other]);
  });

  test("keeps the source where a copy in parts meets other content", async () => {
    const one = await find("parts-clash/a.json", await put("parts-clash/a.json", big("c")));
    await put("parts-clash/moved.json", big("d"));
    const fault = await codeOf(open(limits).move(one, "parts-clash/moved.json"));
    expect(fault).toMatchObject({ code: "ARCHIVE_CONFLICT" });
    expect(await left("parts-clash/a.json")).toEqual([one.versionId]);
  });
});
