import { describe, expect, test } from "vitest";
import { parseSettings } from "../lib/config.ts";

const secret = "canary-secret-4711";

function faultOf(variables: Readonly<Record<string, string>>): string {
  try {
    parseSettings(variables);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

describe("X11: an address in the settings", () => {
  const strangers = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]:80/x",
    "https://evil.example/1/queue",
    "https://sqs.us-east-1.amazonaws.com.evil.example/1/queue",
    "https://amazonaws.com@evil.example/1/queue",
    "http://sqs.us-east-1.amazonaws.com/1/queue",
    "http://localhost.evil.example:4566/1/queue",
    "http://127.0.0.1@evil.example:80/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/x",
    "//evil.example/x",
  ];

  test.each(strangers)("%s is none for a queue, nor for a stand-in of AWS", (address) => {
    for (const name of ["DEAD_LETTER_QUEUE_URL", "LOCAL_ENDPOINT", "LOCAL_MACHINE_ENDPOINT"]) {
      expect(faultOf({ [name]: address })).toMatch(new RegExp(`^SETTINGS_INVALID: ${name}: `));
    }
  });

  test.each(["x.evil.example/", "us-east-1@evil.example", "us east", "../x"])("%s is no region", (region) => {
    expect(faultOf({ AWS_REGION: region })).toMatch(/^SETTINGS_INVALID: AWS_REGION: /);
  });

  test.each(["a/../b", "evil.example/x", "x@y", "?x", "Aa", "ab"])("%s is no bucket", (bucket) => {
    expect(faultOf({ S3_BUCKET: bucket })).toMatch(/^SETTINGS_INVALID: S3_BUCKET: /);
  });

  test.each([
    "169.254.169.254",
    "169.254.0.1",
    "169.254.169.254.",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "0:0:0:0:0:ffff:a9fe:a9fe",
    "fe80::1",
    "FEBF::1",
    "fd00:ec2::254",
    "metadata.google.internal",
    "Metadata.Google.Internal.",
    "instance-data",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "::1:",
  ])("%s is no host of a database", (host) => {
    expect(faultOf({ DB_HOST: host })).toMatch(/^SETTINGS_INVALID: DB_HOST: /);
  });

  test("of AWS and of this machine are taken", () => {
    for (const url of [
      "https://sqs.us-east-1.amazonaws.com/123456789012/dead-letters",
      "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/dead-letters",
      "http://127.0.0.1:4566/000000000000/dead-letters",
      "http://localhost:4566/000000000000/dead-letters",
      "https://127.0.0.1:4566/000000000000/dead-letters",
    ]) {
      expect(parseSettings({ DEAD_LETTER_QUEUE_URL: url }).deadLetterQueueUrl).toBe(url);
    }
  });
});

describe("X07: a fault of the settings", () => {
  test.each([
    ["DB_HOST", `postgres://user:${secret}@db.example.org/idhub`],
    ["DB_HOST", `user:${secret}@db.example.org`],
    ["DB_PORT", secret],
    ["DB_AUTH", secret],
    ["DB_TLS", secret],
    ["LOG_LEVEL", secret],
    ["LOCAL_ENDPOINT", `http://user:${secret}@127.0.0.1:80`],
    ["DEAD_LETTER_QUEUE_URL", `https://user:${secret}@sqs.us-east-1.amazonaws.com/1/q`],
    ["BATCH_ID_PATTERN", `(${secret}`],
    ["MAX_RETRIES", secret],
  ])("in %s names it, and does not show it", (name, value) => {
    const fault = faultOf({ [name]: value });
    expect(fault).toMatch(new RegExp(`^SETTINGS_INVALID: ${name}: `));
    expect(fault).not.toContain(secret);
  });

  test.each([
    "db.example.org",
    "idhub_db",
    "10.0.0.7",
    "::1",
    "127.0.0.1",
    "localhost",
    "::ffff:10.0.0.7",
    "fd12:3456::7",
    "db1",
    "db-1.cluster-x.us-east-1.rds.amazonaws.com",
  ])("none is that the host is %s", (host) => {
    expect(parseSettings({ DB_HOST: host }).database.host).toBe(host);
  });
});
