import { describe, expect, test } from "vitest";
import { classifyAwsError, classifyDatabaseError } from "../../lib/core/classify-error.ts";
import { BlockedError, TransientError } from "../../lib/core/errors.ts";

describe("SQLSTATE", () => {
  test.each([
    ["58030", BlockedError, "DB_SERVER"],
    ["58P01", BlockedError, "DB_SERVER"],
    ["XX000", BlockedError, "DB_SERVER"],
    ["XX001", BlockedError, "DB_DAMAGED"],
    ["XX002", BlockedError, "DB_DAMAGED"],
    ["53000", BlockedError, "DB_RESOURCES"],
    ["57P04", BlockedError, "DB_MISSING"],
    ["40003", TransientError, "DB_CONFLICT"],
  ])("%s", (sqlState, kind, code) => {
    const fault = classifyDatabaseError({ code: sqlState, message: "a value", severity: "ERROR" });
    expect(fault).toBeInstanceOf(kind);
    expect(fault).toMatchObject({ code, details: { sqlState } });
    expect(fault?.message).not.toContain("a value");
  });
});

describe("AWS", () => {
  const classify = (name: string, httpStatusCode: number) =>
    classifyAwsError({ name, $metadata: { httpStatusCode } }, "the subject");

  test.each([
    ["Unknown", 400, BlockedError, "AWS_REFUSED"],
    ["Unknown", 301, BlockedError, "S3_BUCKET"],
    ["AuthorizationHeaderMalformed", 400, BlockedError, "S3_BUCKET"],
    ["Unknown", 429, TransientError, "AWS_THROTTLED"],
    ["TooManyRequests", 400, TransientError, "AWS_THROTTLED"],
    ["RequestThrottled", 400, TransientError, "AWS_THROTTLED"],
    ["ExpiredToken", 400, BlockedError, "S3_ACCESS"],
    ["ExpiredTokenException", 400, BlockedError, "AWS_ACCESS"],
    ["UnrecognizedClientException", 400, BlockedError, "AWS_ACCESS"],
    ["InvalidSignatureException", 403, BlockedError, "AWS_ACCESS"],
  ])("%s %i", (name, status, kind, code) => {
    const fault = classify(name, status);
    expect(fault).toBeInstanceOf(kind);
    expect(fault).toMatchObject({ code });
    expect(fault?.message).toContain("the subject");
  });

  test("a name that nobody knows is nothing that the environment has done", () => {
    expect(classify("ValidationException", 400)).toBeNull();
  });
});
