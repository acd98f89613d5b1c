import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { mockClient } from "aws-sdk-client-mock";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openDeadLetters } from "../../lib/aws/dead-letters.ts";
import { readDatabaseSecret, signDatabaseToken } from "../../lib/aws/secrets.ts";
import { codeOf } from "./support/local-store.ts";

const secrets = mockClient(SecretsManagerClient);
const sqs = mockClient(SQSClient);
beforeEach(() => {
  secrets.reset();
  sqs.reset();
});

const region = "us-east-1";
const canary = "canary-secret-4711";
const fails = (name: string, httpStatusCode = 400) =>
  Object.assign(new Error(canary), { name, $metadata: { httpStatusCode } });
const read = () => readDatabaseSecret({ secretArn: "arn:secret", region, endpoint: null });
const holds = (value: object): void => {
  secrets.on(GetSecretValueCommand).resolves({ SecretString: JSON.stringify(value) });
};

describe("the database's secret", () => {
  test("is read anew every time, as after a rotation", async () => {
    holds({ username: "u", password: "old", host: "h", port: 5432, engine: "postgres" });
    expect(await read()).toEqual({ username: "u", password: "old" });
    holds({ username: "u", password: "new" });
    expect(await read()).toMatchObject({ password: "new" });
  });

  test("that cannot be had at the moment is a fault that passes", async () => {
    secrets.on(GetSecretValueCommand).rejects(fails("InternalServiceError", 500));
    expect(await codeOf(read())).toMatchObject({ name: "TransientError", code: "AWS_UNAVAILABLE" });
  });

  test.each([`{"username":"u","passwort":"${canary}"}`, canary, `{"username":"u","password":["${canary}"]}`, ""])(
    "blocks where it is malformed, and shows nothing of it: %#",
    async (SecretString) => {
      secrets.on(GetSecretValueCommand).resolves({ SecretString });
      const fault = await codeOf(read());
      expect(fault).toMatchObject({ name: "BlockedError", code: "DB_AUTH" });
      expect(fault.message).toContain("arn:secret");
      expect(fault.message).not.toContain(canary);
    },
  );

  test.each(["ResourceNotFoundException", "AccessDeniedException", "DecryptionFailure"])(
    "blocks on %s",
    async (name) => {
      secrets.on(GetSecretValueCommand).rejects(fails(name));
      expect(await codeOf(read())).toMatchObject({ name: "BlockedError", code: "DB_AUTH" });
    },
  );
});

describe("dead letters", () => {
  const deadLetters = openDeadLetters({
    queueUrl: "https://sqs.us-east-1.amazonaws.com/1/dead",
    region,
    endpoint: null,
  });

  test("keep the body as it came, with the code", async () => {
    sqs.on(SendMessageCommand).resolves({});
    await deadLetters.send("{", { code: "EVT_MALFORMED", message: "no JSON" });
    expect(sqs.commandCalls(SendMessageCommand)[0]?.args[0].input).toMatchObject({
      MessageBody: "{",
      MessageAttributes: { code: { DataType: "String", StringValue: "EVT_MALFORMED" } },
    });
  });

  test("that cannot be sent are an error", async () => {
    sqs.on(SendMessageCommand).rejects(fails("QueueDoesNotExist"));
    const fault = await codeOf(deadLetters.send("{", { code: "X", message: "x" }));
    expect(fault).toMatchObject({ name: "BlockedError", code: "AWS_MISSING" });
  });
});

describe("a token of IAM", () => {
  afterEach(() => vi.unstubAllEnvs());
  const login = { host: "db.example.com", port: 5432, user: "loader", region };

  test("is signed for host, port and user, without a call", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", canary);
    const token = await signDatabaseToken(login);
    expect(token).toMatch(/^db\.example\.com:5432\/\?.*DBUser=loader.*X-Amz-Signature=[0-9a-f]{64}/);
    expect(token).not.toContain(canary);
  });

  test("blocks where there are no credentials", async () => {
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"]) vi.stubEnv(name, undefined);
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
    vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
    vi.stubEnv("AWS_CONFIG_FILE", "/nowhere");
    expect(await codeOf(signDatabaseToken(login))).toMatchObject({ name: "BlockedError", code: "DB_AUTH" });
  });
});
