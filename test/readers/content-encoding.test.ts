import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { TransientError } from "../../lib/core/errors.ts";
import { faultOf, read, readFrom, storeOf } from "./support.ts";

const text = JSON.stringify({ records: Array.from({ length: 500 }, (_, id) => ({ id, name: `name ${id * 7919}` })) });
const gzip = gzipSync(text);
const zstd = zstdCompressSync(text);
const brotli = brotliCompressSync(text);
const members = Buffer.concat([gzipSync(text.slice(0, 777)), gzipSync(""), gzipSync(text.slice(777))]);
const frames = Buffer.concat([zstdCompressSync(text.slice(0, 777)), zstdCompressSync(text.slice(777))]);
const garbage = Buffer.from("garbage");
const chunkings = [[1], [7, 300], [100_000]];

describe("S12, S14: decoding", () => {
  it.each([
    ["plain", Buffer.from(text), null],
    ["plain", Buffer.from(text), "identity"],
    ["plain", Buffer.from(text), "aws-chunked"],
    ["gzip by magic bytes", gzip, null],
    ["gzip by magic bytes", gzip, "identity"],
    ["gzip by header", gzip, "gzip"],
    ["gzip by header", gzip, "aws-chunked, GZIP"],
    ["gzip of several members", members, null],
    ["zstd by magic bytes", zstd, null],
    ["zstd by header", zstd, "zstd"],
    ["zstd of several frames", frames, null],
    ["brotli by header", brotli, "br"],
  ])("reads %s", async (_name, body, contentEncoding) => {
    for (const chunkSizes of chunkings) {
      const { summary, source, values } = await read({ body, contentEncoding, chunkSizes });
      expect(summary).toEqual({ records: 500, bytes: text.length, shape: "records" });
      expect(values[499]).toEqual({ id: 499, name: `name ${499 * 7919}` });
      expect(source.open).toBe(0);
    }
  });

  it.each([
    ["gzip, cut in its data", gzip.subarray(0, -20), null],
    ["gzip, cut in its checksum", gzip.subarray(0, -3), null],
    ["gzip, cut in its header", gzip.subarray(0, 5), null],
    ["gzip, cut in a later member", members.subarray(0, -3), null],
    ["gzip, cut in a later member's header", Buffer.concat([gzip, gzip.subarray(0, 4)]), null],
    ["zstd", zstd.subarray(0, -3), null],
    ["brotli", brotli.subarray(0, -3), "br"],
  ])("says truncated: %s", async (_name, body, contentEncoding) => {
    for (const chunkSizes of chunkings) {
      expect((await faultOf({ body, contentEncoding, chunkSizes })).code).toBe("S3_TRUNCATED");
    }
  });

  it("never takes a cut for the end, wherever it is", async () => {
    const lines = ['{"id":1}\n', '{"id":2}\n'];
    const two = Buffer.concat(lines.map((line) => gzipSync(line)));
    const boundary = gzipSync(lines[0] as string).length;
    for (let size = 3; size < two.length; size++) {
      // as long as it is said to be, and shorter
      if (size !== boundary)
        expect((await faultOf(two.subarray(0, size))).code).toMatch(/^S3_TRUNCATED$|^JSON_SYNTAX$/);
      const short = storeOf({ body: two.subarray(0, size) });
      const reading = readFrom({ ...short, version: { ...short.version, size: two.length } });
      await expect(reading).rejects.toThrow(/^(S3_TRUNCATED|S3_CONTENT_ENCODING|JSON_SYNTAX): /);
    }
  });

  it.each([
    ["garbage behind gzip", Buffer.concat([gzip, garbage]), null],
    ["zeros behind gzip", Buffer.concat([gzip, Buffer.alloc(512)]), null],
    ["garbage behind zstd", Buffer.concat([zstd, garbage]), null],
    ["garbage behind brotli", Buffer.concat([brotli, garbage]), "br"],
    ["a header gzip on plain data", Buffer.from(text), "gzip"],
    ["a header zstd on gzip", gzip, "zstd"],
    ["a header br on plain data", Buffer.from(text), "br"],
    ["damaged gzip", Buffer.concat([gzip.subarray(0, -8), Buffer.alloc(8)]), null],
    ["an unknown encoding", gzip, "lzma"],
    ["two encodings", gzip, "gzip, br"],
  ])("refuses %s", async (_name, body, contentEncoding) => {
    for (const chunkSizes of chunkings) {
      expect((await faultOf({ body, contentEncoding, chunkSizes })).code).toBe("S3_CONTENT_ENCODING");
    }
  });

  it("names what it does not know", async () => {
    const fault = await faultOf({ body: gzip, contentEncoding: "compress" });
    expect(fault.message).toContain('"compress" is not known, expected one of gzip, zstd, br');
  });

  it("S10: says empty where compressed data holds nothing", async () => {
    expect((await faultOf({ body: Buffer.alloc(0), contentEncoding: "gzip" })).code).toBe("S3_EMPTY");
    expect((await faultOf(gzipSync(""))).code).toBe("S3_EMPTY");
    expect((await faultOf(gzipSync("\ufeff\n"))).code).toBe("S3_EMPTY");
  });

  it("X12: stops a decompression bomb at the limit", async () => {
    const bomb = gzipSync(`[{"a":1},${" ".repeat(20_000_000)}{"a":2}]`);
    const fault = await faultOf(bomb, { maxDecodedBytes: 1_000_000 });
    expect(fault.code).toBe("S3_TOO_LARGE");
  });

  it("lets the store's own errors pass", async () => {
    for (const body of [gzip, zstd, Buffer.from(text)]) {
      const source = storeOf({ body });
      async function* bytes() {
        yield body.subarray(0, 60);
        throw new TransientError("S3_STALLED", "no bytes for 20 s");
      }
      const store = { read: async () => ({ bytes: bytes(), contentEncoding: null }) };
      await expect(readFrom({ ...source, store })).rejects.toThrow(TransientError);
    }
  });
});
