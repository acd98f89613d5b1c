import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { CloudFormationClient } from "@aws-sdk/client-cloudformation";
import { IAMClient } from "@aws-sdk/client-iam";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { S3Client } from "@aws-sdk/client-s3";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { SFNClient } from "@aws-sdk/client-sfn";
import { SQSClient } from "@aws-sdk/client-sqs";
import { STSClient } from "@aws-sdk/client-sts";
import { type EmulatorAddress, region, rootCredentials } from "./emulator.ts";

export type Credentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

/** The SDK's clients, which find the emulator where the CDK's find it. */
export function openClients(emulator: EmulatorAddress, credentials: Credentials = rootCredentials) {
  const httpsAgent = new Agent({ ca: readFileSync(emulator.caFile), keepAlive: true, maxSockets: 50 });
  const config = { region, endpoint: emulator.endpoint, credentials, requestHandler: { httpsAgent } };
  return {
    cloudFormation: new CloudFormationClient(config),
    iam: new IAMClient(config),
    lambda: new LambdaClient(config),
    s3: new S3Client({ ...config, forcePathStyle: true }),
    secrets: new SecretsManagerClient(config),
    sfn: new SFNClient(config),
    sqs: new SQSClient({ ...config, useQueueUrlAsEndpoint: false }),
    sts: new STSClient(config),
  };
}

export type Clients = ReturnType<typeof openClients>;
