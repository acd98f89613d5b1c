import { S3Client } from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, test } from "vitest";
import { openObjectStore } from "../../lib/aws/object-store.ts";
import { parseManifest } from "../../lib/core/manifest.ts";
import { readSources, textsOf } from "../support/sources.ts";
import { codeOf, collect } from "./support/local-store.ts";
import { versionOf } from "./support/scripted-s3.ts";

const s3 = mockClient(S3Client);
beforeEach(() => s3.reset());

const owner = "123456789012";
const options = { bucket: "fragments", region: "us-east-1", bucketOwner: owner, endpoint: null };
const bytes = { ContentLength: 10, ETag: '"e1"', VersionId: "v1" };

const unfinished = { Key: "loaded/b/x", UploadId: "left", Initiated: new Date(0) };
const notFound = Object.assign(new Error("no"), { $metadata: { httpStatusCode: 404 } });

type Sent = { readonly name: string; readonly input: Readonly<Record<string, unknown>> };

/** Every command that the adapter can send, with what it was sent with. */
async function sendAll(): Promise<Sent[]> {
  const sent: Sent[] = [];
  let copied = false;
  const answerTo = (name: string, key: string): object => {
    if (name === "CopyObjectCommand" || name === "CompleteMultipartUploadCommand") copied = true;
    if (name === "CreateMultipartUploadCommand") return { UploadId: "u" };
    if (name === "UploadPartCopyCommand") return { CopyPartResult: { ETag: '"p"' } };
    if (name === "ListMultipartUploadsCommand") return { Uploads: [unfinished] };
    if (name !== "HeadObjectCommand") return {};
    // the copy is there once it was made, and not before
    if (key.startsWith("loaded/") && !copied) throw notFound;
    return bytes;
  };
  s3.send.callsFake(async (command) => {
    const { name } = command.constructor;
    const input = { ...command.input };
    sent.push({ name, input });
    return answerTo(name, "Key" in input ? String(input.Key) : "") as never;
  });
  for (const versioning of [true, false]) {
    for (const largestCopyBytes of [5, 100]) {
      copied = false;
      const store = openObjectStore({ ...options, versioning, limits: { largestCopyBytes } });
      const version = { ...versionOf(10), versionId: versioning ? "v1" : null };
      await collect(store.list("staging/"));
      await collect(store.folders("staging/"));
      await store.read(version);
      await store.readText("contracts");
      await store.write("report", "{}");
      await store.move(version, "loaded/b/x");
      for (const upload of await store.unfinished("loaded/")) await store.abandon(upload);
      store.close();
    }
  }
  return sent;
}

describe("X03: a bucket of the same name that a stranger has made", () => {
  test("every command names the owner that the bucket has to have, and of what it copies from", async () => {
    const sent = await sendAll();
    const names = new Set(sent.map(({ name }) => `new ${name}(`));
    const known = readSources("lib/aws/{object-*,bucket-access}.ts").flatMap(
      ({ text }) => text.match(/new \w+Command\(/g) ?? [],
    );
    expect([...names].toSorted()).toEqual([...new Set(known)].toSorted());
    for (const { name, input } of sent) {
      expect(input, name).toMatchObject({ Bucket: "fragments", ExpectedBucketOwner: owner });
      if ("CopySource" in input) expect(input, name).toMatchObject({ ExpectedSourceBucketOwner: owner });
    }
  });

  test("S3's refusal blocks the load as S3_ACCESS", async () => {
    s3.rejects(Object.assign(new Error("no"), { name: "AccessDenied", $metadata: { httpStatusCode: 403 } }));
    const store = openObjectStore({ ...options, versioning: true });
    for (const call of [store.read(versionOf(1)), store.write("k", "{}"), store.readText("k")]) {
      expect(await codeOf(call)).toMatchObject({ name: "BlockedError", code: "S3_ACCESS" });
    }
  });
});

describe("X03, X11: a manifest that names what is not its own", () => {
  const place = { batchId: "batch_20260101_000000", table: "blood" };
  const folder = `staging/validated/${place.batchId}/blood/`;
  const keys = [
    "s3://stranger/staging/validated/batch_20260101_000000/blood/part-1.json",
    "http://169.254.169.254/latest/meta-data/",
    "file:///etc/passwd",
    `${folder}../dna/part-1.json`,
    "staging/validated/batch_20260101_000001/blood/part-1.json",
    "config/tables.json",
    "loaded/batch_20260101_000000/blood/part-1.json",
    `/${folder}part-1.json`,
    "..",
  ];

  test.each(keys)("%s is refused, and not shown", (key) => {
    const { fault, parts } = parseManifest(JSON.stringify({ fragments: [{ key }] }), place);
    expect(fault?.code).toBe("MANIFEST_INVALID");
    expect(fault?.message).not.toContain(key.slice(0, 20) === folder.slice(0, 20) ? key : key.slice(0, 20));
    expect(parts).toEqual([]);
  });

  test.each(["bucket", "url", "endpoint"])("a member %s is refused by name", (member) => {
    for (const manifest of [
      { fragments: [{ key: "part-1.json", [member]: "stranger" }] },
      { fragments: [{ key: "part-1.json" }], [member]: "stranger" },
    ]) {
      const { fault } = parseManifest(JSON.stringify(manifest), place);
      expect(fault).toMatchObject({ code: "MANIFEST_INVALID", message: expect.stringContaining(`"${member}"`) });
      expect(fault?.message).not.toContain("stranger");
    }
  });

  test("nothing of ours makes a request by itself: only the SDK's clients do, and the driver", () => {
    const outgoing = /\bfetch\(|node:https?"|node:net"|node:tls"|node:dgram"/;
    const sources = readSources("lib/{core,steps,readers,targets,postgres,ledger,aws}/**/*.ts", "functions/*.ts");
    const found = sources.filter(({ text }) => outgoing.test(text)).map(({ path }) => path);
    expect(found).toEqual(["lib/postgres/client.ts"]);
    expect(textsOf(sources[0] as (typeof sources)[0]).length).toBeGreaterThan(0);
  });
});
