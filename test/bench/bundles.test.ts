import { expect, test } from "vitest";
import { bareSource } from "../../bench/bundles.ts";

const used = { bytesInOutput: 50 };

test("the handler to compare with has the clients and commands of the SDK that are in the bundle, and nothing else", () => {
  const inputs = {
    "functions/sweep.ts": used,
    "node_modules/zod/v4/core/core.js": used,
    "node_modules/@aws-sdk/core/dist-es/Client.js": used,
    "node_modules/@aws-sdk/client-s3/dist-es/S3Client.js": used,
    "node_modules/@aws-sdk/client-s3/dist-es/commands/GetObjectCommand.js": used,
    "node_modules/@aws-sdk/client-s3/dist-es/commands/PutObjectCommand.js": { bytesInOutput: 0 },
    "node_modules/@aws-sdk/client-s3/dist-es/models/errors.js": used,
    "node_modules/@aws-sdk/rds-signer/dist-es/Signer.js": used,
  };
  expect(bareSource(inputs).split("\n")).toEqual([
    'import { S3Client } from "@aws-sdk/client-s3";',
    'import { GetObjectCommand } from "@aws-sdk/client-s3";',
    'import { Signer } from "@aws-sdk/rds-signer";',
    "export const handler = () => [S3Client, GetObjectCommand, Signer];",
  ]);
});

test("without a client it is an empty handler", () => {
  expect(bareSource({})).toBe("export const handler = () => [];");
});
