import { randomBytes } from "node:crypto";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bucketName, codeOf, collect, findObject, listAll, openLocalStore, readAll } from "./support/local-store.ts";

let local: Awaited<ReturnType<typeof openLocalStore>>;
const megabyte = 1024 ** 2;

beforeAll(async () => {
  local = await openLocalStore({ largestCopyBytes: 5.5 * megabyte, copyPartBytes: 5 * megabyte });
});
afterAll(() => local.close());

const specialKeys = ["a b+c.json", "100%25 é ü.json", "a&b=c?d#e.json", "quote'\"<>.json", "日本/🩸.json"];

describe("list and folders", () => {
  test("tell every object below a prefix, without folder markers, ETags without quotes", async () => {
    for (const name of ["b1/blood.json", "b1/dna.json", "b2/x.json", "b1/"]) await local.bucket.put(`ls/${name}`, name);
    const listed = await listAll(local.store, "ls/b1/");
    expect(listed.map(({ key }) => key)).toEqual(["ls/b1/blood.json", "ls/b1/dna.json"]);
    expect(listed[0]).toMatchObject({ versionId: null, isLatest: true, size: 13 });
    expect(listed[0]?.etag).toMatch(/^[0-9a-f]{32}$/);
    expect(await collect(local.store.folders("ls/"))).toEqual(["b1", "b2"]);
  });

  test("go on over pages", async () => {
    await Promise.all(Array.from({ length: 1005 }, (_, index) => local.bucket.put(`pages/${index}.json`, "[]")));
    expect(await listAll(local.store, "pages/")).toHaveLength(1005);
  });

  test.each(specialKeys)("keep the key %s as it is", async (name) => {
    await local.bucket.put(`keys/${name}`, "[1]");
    const object = await findObject(local.store, `keys/${name}`);
    expect(await readAll(local.store, object)).toBe("[1]");
  });
});

describe("read", () => {
  test("gives the whole, or from a byte on, with the content encoding", async () => {
    const Key = "read/a.json";
    const put = { Bucket: bucketName, Key, Body: "0123456789", ContentEncoding: "gzip" };
    await local.s3.send(new PutObjectCommand(put));
    const object = await findObject(local.store, Key);
    expect(await readAll(local.store, object)).toBe("0123456789");
    expect(await readAll(local.store, object, 7)).toBe("789");
    expect((await local.store.read(object)).contentEncoding).toBe("gzip");
  });

  test("at the object's end is empty, and so is an empty object", async () => {
    await local.bucket.put("read/b.json", "01");
    await local.bucket.put("read/empty.json", "");
    expect(await readAll(local.store, await findObject(local.store, "read/b.json"), 2)).toBe("");
    expect(await readAll(local.store, await findObject(local.store, "read/empty.json"))).toBe("");
  });

  test("of an object that was replaced or removed is the batch's fault", async () => {
    await local.bucket.put("read/c.json", "old");
    const object = await findObject(local.store, "read/c.json");
    await local.bucket.put("read/c.json", "new");
    expect(await codeOf(local.store.read(object))).toMatchObject({ name: "PermanentError", code: "S3_CHANGED" });
    await local.store.remove(await findObject(local.store, "read/c.json"));
    expect(await codeOf(local.store.read(object))).toMatchObject({ name: "PermanentError", code: "S3_MISSING" });
  });
});

describe("readText and write", () => {
  test("give back what was written, and null where there is nothing", async () => {
    await local.store.write("text/a.json", '{"é":1}');
    expect(await local.store.readText("text/a.json")).toEqual({
      text: '{"é":1}',
      etag: expect.stringMatching(/^\w+$/),
    });
    expect(await local.store.readText("text/none.json")).toBeNull();
    const head = await local.s3.send(new HeadObjectCommand({ Bucket: bucketName, Key: "text/a.json" }));
    expect(head.ContentType).toBe("application/json");
  });

  test("drop a byte order mark", async () => {
    await local.bucket.put("text/bom.json", "\uFEFF{}");
    expect((await local.store.readText("text/bom.json"))?.text).toBe("{}");
  });
});

describe("move", () => {
  test.each(specialKeys)("copies, verifies and deletes %s", async (name) => {
    await local.bucket.put(`staging/${name}`, "[1]");
    await local.store.move(await findObject(local.store, `staging/${name}`), `loaded/${name}`);
    expect(local.bucket.keys(`staging/${name}`)).toEqual([]);
    expect(await readAll(local.store, await findObject(local.store, `loaded/${name}`))).toBe("[1]");
  });

  test("keeps type, encoding and metadata", async () => {
    const kept = { ContentType: "application/x-ndjson", ContentEncoding: "gzip", Metadata: { by: "hub" } };
    await local.s3.send(new PutObjectCommand({ Bucket: bucketName, Key: "meta/a.json", Body: "x", ...kept }));
    await local.store.move(await findObject(local.store, "meta/a.json"), "loaded/meta.json");
    const head = await local.s3.send(new HeadObjectCommand({ Bucket: bucketName, Key: "loaded/meta.json" }));
    expect(head).toMatchObject(kept);
  });

  test("can be repeated at every point", async () => {
    await local.bucket.put("again/a.json", "same");
    const object = await findObject(local.store, "again/a.json");
    await local.bucket.put("loaded/again.json", "same"); // copied, and then the process died
    await local.store.move(object, "loaded/again.json");
    await local.store.move(object, "loaded/again.json"); // the source is gone
    expect(local.bucket.keys("again/")).toEqual([]);
    await local.store.remove(object);
  });

  test.each([
    ["other bytes of the same length", "diff"],
    ["another length", "different"],
  ])("does not touch a source whose copy has %s", async (_, content) => {
    await local.bucket.put("conflict/a.json", "same");
    await local.bucket.put("loaded/conflict.json", content);
    const fault = await codeOf(
      local.store.move(await findObject(local.store, "conflict/a.json"), "loaded/conflict.json"),
    );
    expect(fault).toMatchObject({ name: "PermanentError", code: "ARCHIVE_CONFLICT" });
    expect(fault.message).toContain("s3://idhub-curated-fragments/conflict/a.json");
    expect(fault.message).toContain("loaded/conflict.json");
    expect(local.bucket.keys("conflict/")).toEqual(["conflict/a.json"]);
  });

  test("of what is gone on both sides is S3_MISSING; where the copy has another length, a conflict", async () => {
    await local.bucket.put("gone/a.json", "1");
    const object = await findObject(local.store, "gone/a.json");
    await local.store.remove(object);
    const missing = await codeOf(local.store.move(object, "loaded/gone.json"));
    expect(missing).toMatchObject({ name: "PermanentError", code: "S3_MISSING" });
    await local.bucket.put("loaded/gone.json", "123");
    expect(await codeOf(local.store.move(object, "loaded/gone.json"))).toMatchObject({ code: "ARCHIVE_CONFLICT" });
  });

  test("leaves an object that took the version's place", async () => {
    await local.bucket.put("replaced/a.json", "old");
    const old = await findObject(local.store, "replaced/a.json");
    await local.bucket.put("replaced/a.json", "newer");
    await local.bucket.put("loaded/replaced.json", "old");
    await local.store.move(old, "loaded/replaced.json");
    await local.store.remove(old);
    expect(await readAll(local.store, await findObject(local.store, "replaced/a.json"))).toBe("newer");
  });

  test("onto itself changes nothing", async () => {
    await local.bucket.put("failed/self.json", "1");
    await local.store.move(await findObject(local.store, "failed/self.json"), "failed/self.json");
    expect(local.bucket.keys("failed/self.json")).toHaveLength(1);
  });

  test("copies a great object in parts, and compares bytes where ETags differ", async () => {
    const body = randomBytes(12 * megabyte);
    const put = { Bucket: bucketName, Key: "big/a b+.json", Body: body, ContentEncoding: "gzip" };
    await local.s3.send(new PutObjectCommand(put));
    const object = await findObject(local.store, "big/a b+.json");
    await local.store.move(object, "loaded/big.json");
    const copy = await findObject(local.store, "loaded/big.json");
    expect(copy.etag).toMatch(/-3$/);
    const bytes = await collect((await local.store.read(copy)).bytes);
    expect(Buffer.concat(bytes).equals(body)).toBe(true);
    const head = await local.s3.send(new HeadObjectCommand({ Bucket: bucketName, Key: "loaded/big.json" }));
    expect(head.ContentEncoding).toBe("gzip");
    expect(local.bucket.keys("big/")).toEqual([]);
  });

  test("of an object that was uploaded in parts does not trust ETags", async () => {
    const upload = { Bucket: bucketName, Key: "parts/a.json" };
    const { UploadId } = await local.s3.send(new CreateMultipartUploadCommand(upload));
    const part = { ...upload, UploadId, PartNumber: 1, Body: "[1,2]" };
    const { ETag } = await local.s3.send(new UploadPartCommand(part));
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    await local.s3.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload }));
    await local.store.move(await findObject(local.store, "parts/a.json"), "loaded/parts.json");
    expect((await findObject(local.store, "loaded/parts.json")).etag).not.toMatch(/-1$/);
    expect(local.bucket.keys("parts/")).toEqual([]);
  });
});
