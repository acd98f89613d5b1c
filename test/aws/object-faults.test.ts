import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { codeOf, collect, readAll } from "./support/local-store.ts";
import { type Answer, openScriptedS3, s3Error, sends, versionOf } from "./support/scripted-s3.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function open(...answers: readonly Answer[]) {
  const scripted = await openScriptedS3(answers);
  closing.push(scripted.close);
  return scripted;
}

const body = "0123456789";

describe("answers of S3", () => {
  test("S01: three times SlowDown, then the object: read", { timeout: 20_000 }, async () => {
    const slow = s3Error(503, "SlowDown");
    const { store, requests } = await open(slow, slow, slow, sends(body));
    expect(await readAll(store, versionOf(10))).toBe(body);
    expect(requests).toHaveLength(4);
  });

  test("S02: SlowDown for ever blocks", { timeout: 20_000 }, async () => {
    const { store } = await open(s3Error(503, "SlowDown"));
    expect(await codeOf(store.read(versionOf(10)))).toMatchObject({ name: "BlockedError", code: "S3_THROTTLED" });
  });

  test.each([
    [403, "AccessDenied", "BlockedError", "S3_ACCESS"],
    [403, "InvalidObjectState", "BlockedError", "S3_STORAGE_CLASS"],
    [404, "NoSuchBucket", "BlockedError", "S3_BUCKET"],
    [400, "KMS.DisabledException", "BlockedError", "S3_KMS"],
    [404, "NoSuchVersion", "PermanentError", "S3_MISSING"],
    [412, "PreconditionFailed", "PermanentError", "S3_CHANGED"],
  ])("S02: %i %s is %s %s and names the version", async (status, code, name, expected) => {
    const { store } = await open(s3Error(status, code));
    const fault = await codeOf(store.read(versionOf(10)));
    expect(fault).toMatchObject({ name, code: expected });
    expect(fault.message).toContain("s3://idhub-curated-fragments/staging/validated/b/blood.json version v1");
  });

  test.each([
    [400, "AWS_REFUSED", /KMS key, then the request/],
    [301, "S3_BUCKET", /another region .* AWS_REGION/],
  ])("S02: HEAD has no body: %i without a name is %s", async (status, code, text) => {
    const { store, requests } = await open((response) => response.writeHead(status).end());
    const fault = await codeOf(store.move(versionOf(10), "loaded/b/blood.json"));
    expect(requests).toEqual([expect.stringMatching(/^HEAD /)]);
    expect(fault).toMatchObject({ name: "BlockedError", code });
    expect(fault.message).toMatch(text);
  });

  test("S02: a bucket in another region blocks", async () => {
    const { store } = await open(s3Error(301, "PermanentRedirect"));
    expect(await codeOf(store.read(versionOf(10)))).toMatchObject({ name: "BlockedError", code: "S3_BUCKET" });
  });

  test("an error of the server passes", { timeout: 20_000 }, async () => {
    const { store } = await open(s3Error(500, "InternalError"));
    expect(await codeOf(store.readText("x"))).toMatchObject({ name: "TransientError", code: "AWS_UNAVAILABLE" });
  });

  test("a missing bucket is no missing text", async () => {
    const { store } = await open(s3Error(404, "NoSuchBucket"));
    expect(await codeOf(store.readText("x"))).toMatchObject({ code: "S3_BUCKET" });
  });

  test("every call names the owner of the bucket", async () => {
    const owners: unknown[] = [];
    const { store } = await open((response, request) => {
      owners.push(request.headers["x-amz-expected-bucket-owner"]);
      sends(body)(response, request);
    });
    await readAll(store, versionOf(10));
    await store.readText("x");
    expect(owners).toEqual(["123456789012", "123456789012"]);
  });
});

describe("a body that", () => {
  const half: Answer = (response) => response.writeHead(200, { "content-length": "10" }).write("01234");

  test("stalls after its headers", async () => {
    const { store } = await open((response) => {
      response.writeHead(200, { "content-length": "10" }).flushHeaders();
    });
    expect(await codeOf(readAll(store, versionOf(10)))).toMatchObject({ name: "TransientError", code: "S3_STALLED" });
  });

  test("stalls in the middle", async () => {
    const { store } = await open(half);
    expect(await codeOf(readAll(store, versionOf(10)))).toMatchObject({ name: "TransientError", code: "S3_STALLED" });
  });

  test("S03: is reset in the middle", async () => {
    const { store } = await open((response, request) => {
      half(response, request);
      setTimeout(() => response.destroy(), 20);
    });
    expect(await codeOf(readAll(store, versionOf(10)))).toMatchObject({ name: "TransientError", code: "S3_RESET" });
  });

  test("S03: is reset before anybody reads it, without an uncaught event", async () => {
    const { store } = await open((response, request) => {
      half(response, request);
      setTimeout(() => response.destroy(), 10);
    });
    const { bytes } = await store.read(versionOf(10));
    await pause(50);
    expect(await codeOf(collect(bytes))).toMatchObject({ code: "S3_RESET" });
  });

  test("ends early, but cleanly", async () => {
    const { store } = await open((response) => response.writeHead(200).end("01234"));
    const fault = await codeOf(readAll(store, versionOf(10)));
    expect(fault).toMatchObject({ name: "TransientError", code: "S3_SHORT_BODY" });
    expect(fault.message).toContain("after 5 of 10 bytes");
  });

  test("does not match its checksum", async () => {
    const { store } = await open(sends(body, { "x-amz-checksum-crc32": "AAAAAA==" }));
    expect(await codeOf(readAll(store, versionOf(10)))).toMatchObject({ name: "TransientError", code: "S3_CHECKSUM" });
  });

  test("has another length than the version", async () => {
    const { store } = await open(sends("0123"));
    expect(await codeOf(store.read(versionOf(10)))).toMatchObject({ name: "PermanentError", code: "S3_CHANGED" });
  });

  test("waits for a slow reader does not stall", async () => {
    const { store } = await open(sends(body));
    const { bytes } = await store.read(versionOf(10));
    let text = "";
    for await (const chunk of bytes) {
      await pause(250);
      text += Buffer.from(chunk).toString();
    }
    expect(text).toBe(body);
  });

  test("is left in the middle closes its connection", async () => {
    let closed = false;
    const { store } = await open((response, request) => {
      response.on("close", () => {
        closed = true;
      });
      half(response, request);
    });
    for await (const _ of (await store.read(versionOf(10))).bytes) break;
    await expect.poll(() => closed).toBe(true);
  });
});
