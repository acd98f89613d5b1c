import { describe, expect, it } from "vitest";
import { faultOf, key } from "./support.ts";

describe("S10: no data", () => {
  it.each(["", " \n\t\r ", "\ufeff", "\ufeff \n"])("refuses %j as empty", async (text) => {
    expect(await faultOf(text)).toMatchObject({ code: "S3_EMPTY", records: 0 });
  });
});

describe("J01: truncation", () => {
  it.each([
    ["array", '[{"a":1},{"a":2}', 2],
    ["array behind a comma", '[{"a":1},', 1],
    ["array at its start", "[", 0],
    ["object", '[{"a":1},{"a":', 1],
    ["string", '[{"a":1},{"a":"x', 1],
    ["escape", '[{"a":1},{"a":"x\\', 1],
    ["unicode escape", '[{"a":1},{"a":"\\u00', 1],
    ["number", '[{"a":1},{"a":12', 1],
    ["literal", '[{"a":1},{"a":tr', 1],
    ["literal as a record", '[{"a":1},nul', 1],
    ["records", '{"records":[{"a":1}', 1],
    ["records before the last brace", '{"records":[{"a":1}]', 1],
    ["members behind", '{"records":[{"a":1}],"z":{"y":1', 1],
    ["metadata", '{"metadata":{"a":1', 0],
    ["key", '{"meta', 0],
    ["top-level object", '{"records":', 0],
    ["data", '{"data":{"a":1}', 0],
    ["a line", '{"a":1}\n{"a":', 1],
  ])("names byte and last complete record: %s", async (_name, text, records) => {
    const fault = await faultOf(text);
    const last = records === 0 ? "no complete record before it" : `last complete record ${records}`;
    expect(fault.code).toBe("JSON_TRUNCATED");
    expect(fault.message).toContain(`${key}: `);
    expect(fault.message).toContain(`at byte ${text.length} `);
    expect(fault.message).toContain(last);
    expect(fault.records).toBe(records);
  });

  it("says syntax where a broken record hides in what follows it", async () => {
    const fault = await faultOf('{"a":1\n{"a":2}\n{"a":3}');
    expect(fault.message).toContain('expected "," or "}" but got "{" at byte 7 (line 2, column 1)');
  });
});

describe("J10, J19: syntax", () => {
  it.each([
    ["NaN", '{"a":NaN}', 5],
    ["Infinity", '{"a":-Infinity}', 5],
    ["a bare word", '{"a":yes}', 5],
    ["a comment", '{"a":1/*x*/}', 6],
    ["a trailing comma", '{"a":1,}', 7],
    ["a trailing comma in a list", '{"a":[1,]}', 8],
    ["single quotes", "{'a':1}", 1],
    ["01", '{"a":01}', 6],
    ["+1", '{"a":+1}', 5],
    [".5", '{"a":.5}', 5],
    ["1.", '{"a":1.}', 6],
    ["a raw tab", '{"a":"x\ty"}', 7],
    ["a raw line end", '{"a":"x\ny"}', 7],
    ["a bad escape", '{"a":"\\x"}', 7],
    ["a bad unicode escape", '{"a":"\\u00g0"}', 10],
    ["brackets that cross", '{"a":[1}}', 7],
    ["two values", '{"a":1 2}', 7],
    ["no colon", '{"a" 1}', 5],
    ["no value", '{"a":}', 5],
  ])("gives the place of %s", async (_name, record, index) => {
    const before = '[{"id":1},\n {"id":2},\n  ';
    const expected = { offset: before.length + index, line: 3, column: index + 3 };
    const fault = await faultOf(`${before}${record}\n]`);
    expect(fault).toMatchObject({ code: "JSON_SYNTAX", details: { key, records: 2, ...expected } });
    const { offset, column } = expected;
    expect(fault.message).toContain(`at byte ${offset} (line 3, column ${column}); last complete record 2`);
    const lines = await faultOf(`{"id":1}\r\n\n${record}`);
    expect(lines).toMatchObject({ code: "JSON_SYNTAX", details: { records: 1, line: 3, column: index + 1 } });
  });

  it.each([
    ["a comma before the bracket", '[{"a":1},]', 9],
    ["two commas", '[{"a":1},,{}]', 9],
    ["no comma", '[{"a":1}{}]', 8],
    ["a comma first", "[,{}]", 1],
    ["a bare word as a record", "[{},nan]", 4],
    ["-Infinity as a record", "[-Infinity]", 1],
    ["two records in a line", '{"a":1} {"a":2}', 8],
    ["a comma between lines", '{"a":1},\n{"a":2}', 7],
    ["data behind an array", '[{"a":1}] x', 10],
    ["data behind an object", '{"records":[]}{', 14],
    ["a second data line", '{"data":{"a":1}}\n{"data":{"a":2}}', 17],
    ["a broken head", '{"metadata":{a:1},"records":[]}', 13],
    ["a broken number in the head", '{"n":01,"records":[]}', 6],
    ["a broken end", '{"records":[{"a":1}],"z":01}', 26],
    ["no comma behind records", '{"records":[{}] "z":1}', 16],
    ["a closing bracket that fits nothing", '{"records":[{}]]', 15],
  ])("refuses %s", async (_name, text, offset) => {
    const fault = await faultOf(text);
    expect(fault).toMatchObject({ code: "JSON_SYNTAX", details: { offset } });
  });

  it("S15: refuses a byte order mark inside, with its line", async () => {
    const fault = await faultOf('{"a":1}\n\ufeff{"a":2}');
    expect(fault.message).toMatch(/^JSON_SYNTAX: .*byte order mark.* at byte 8 \(line 2, column 1\)/);
  });

  it("never shows a record's values", async () => {
    const fault = await faultOf('[{"name":"secret","age":secret}]');
    expect(fault.message).not.toContain("secret");
    expect(JSON.stringify(fault.details)).not.toContain("secret");
  });

  it.each([
    ["HTML", "<!DOCTYPE html>", '"<!DOCTYP"'],
    ["CSV", "id,name\n1,a", '"aa,aaaa\\x0a"'],
    ["CSV in quotes", '"id","name"\n', '"\\x22aa\\x22,\\x22aa"'],
    ["CSV of numbers", "1,2\n3,4", '"0,0\\x0a0,0"'],
    ["CSV of names", "Özil,31\n", '"??aaa,00"'],
    ["Parquet", "PAR1\x15\x04", '"PAR1\\x15\\x04"'],
    ["PDF", "%PDF-1.7\n", '"%PDF-1.7"'],
    ["a file of zeros", "\0\0\0\0\0\0", '"\\x00\\x00\\x00\\x00\\x00\\x00"'],
  ])("S16: shows what the first bytes of %s are, and no value", async (_name, text, shown) => {
    const fault = await faultOf(text);
    expect(fault.code).toBe("JSON_SYNTAX");
    expect(fault.message).toContain(`begins with ${shown}`);
    expect(fault.message).toContain("at byte 0 (line 1, column 1)");
  });
});

describe("J03: shape", () => {
  it.each([
    ["[1]", "record 1 is a number"],
    ['[{},"a"]', "record 2 is a string"],
    ["[{},{},null]", "record 3 is null"],
    ["[{},true]", "record 2 is a boolean"],
    ["[{},[{}]]", "record 2 is an array"],
    ['{"records":[{},1]}', "record 2 is a number"],
    ['{"a":1}\n[1]\n', "record 2 is an array"],
    ['{"a":1}\n"x"\n', "record 2 is a string"],
    ["42", "the top level is a number"],
    ['"text"', "the top level is a string"],
    [" true\n", "the top level is a boolean"],
    ["null", "the top level is null"],
    ["1\n2\n", "the top level is a number"],
    ['{"records":5}', "records is no array"],
    ['{"records":{}}', "records is no array"],
    ['{"records":[],"records":[]}', "records stands twice"],
  ])("refuses %s", async (text, message) => {
    const fault = await faultOf(text);
    expect(fault.code).toBe("JSON_SHAPE");
    expect(fault.message).toContain(message);
  });
});

describe("J07: depth", () => {
  const brackets = "[".repeat(1_000_000);

  it.each([
    ["at the top", brackets],
    ["closed", brackets + "]".repeat(1_000_000)],
    ["in a record", `[{"a":${brackets}`],
    ["objects", '{"a":'.repeat(1_000_000)],
    ["in the metadata", `{"metadata":${brackets}`],
    ["behind the records", `{"records":[{}],"z":${brackets}`],
    ["as a later record", `[{},${brackets}`],
  ])("refuses 1,000,000 nested brackets, and does not read them all: %s", async (_name, text) => {
    const fault = await faultOf(text);
    expect(fault.code).toBe("JSON_DEPTH");
    expect(fault.sent).toBeLessThanOrEqual(128 * 1024);
  });

  it("counts the record itself", async () => {
    expect((await faultOf('[{"a":[1]}]', { maxDepth: 1 })).code).toBe("JSON_DEPTH");
  });
});

describe("J21, S15: encoding", () => {
  it.each([
    ["UTF-16LE", Buffer.from('\ufeff[{"a":1}]', "utf16le")],
    ["UTF-16LE", Buffer.from('[{"a":1}]', "utf16le")],
    ["UTF-16BE", Buffer.from('\ufeff[{"a":1}]', "utf16le").swap16()],
    ["UTF-16BE", Buffer.from('[{"a":1}]', "utf16le").swap16()],
    ["UTF-32LE", Buffer.from([0xff, 0xfe, 0, 0, 0x5b, 0, 0, 0])],
    ["UTF-32LE", Buffer.from([0x5b, 0, 0, 0, 0x5d, 0, 0, 0])],
    ["UTF-32BE", Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 0x5b])],
    ["UTF-32BE", Buffer.from([0, 0, 0, 0x5b, 0, 0, 0, 0x5d])],
  ])("names %s", async (charset, body) => {
    for (const chunkSizes of [[100], [1]]) {
      const fault = await faultOf({ body, chunkSizes });
      expect(fault.code).toBe("JSON_ENCODING");
      expect(fault.message).toContain(`the data is ${charset}`);
    }
  });

  it.each([
    ["FF", [0xff]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["an overlong form", [0xc0, 0xaf]],
    ["a long overlong form", [0xe0, 0x80, 0xaf]],
    ["a lone continuation", [0x80]],
    ["a cut sequence", [0xe2, 0x82]],
    ["Latin-1", [0xfc]],
    ["beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
  ])("gives the byte offset of %s", async (_name, bytes) => {
    const before = Buffer.from('[{"ü":"€"},\n{"a":"');
    const fault = await faultOf(Buffer.concat([before, Buffer.from(bytes), Buffer.from('"}]')]));
    expect(fault).toMatchObject({ code: "JSON_ENCODING", details: { offset: before.length, line: 2 } });
    const lines = Buffer.from('{"a":"b"}\n{"a":"');
    const line = await faultOf(Buffer.concat([lines, Buffer.from(bytes), Buffer.from('"}\n')]));
    expect(line).toMatchObject({ code: "JSON_ENCODING", details: { offset: lines.length, line: 2 } });
    const head = Buffer.from('{"metadata":"');
    const inHead = await faultOf(Buffer.concat([head, Buffer.from(bytes), Buffer.from('","records":[]}')]));
    expect(inHead).toMatchObject({ code: "JSON_ENCODING", details: { offset: head.length } });
  });
});
