import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { classifyAwsError } from "../core/classify-error.ts";
import { BlockedError, parseInvocationFault } from "../core/errors.ts";
import type { Operate } from "../core/operations.ts";
import { type ServiceAddress, toClientConfig } from "./client-config.ts";

export type OpenOperate = { readonly operate: Operate; close(): void };

/**
 * The deployed function `operate`, invoked with the caller's own IAM permissions.
 *
 * @param options `functionName` is a name or an ARN
 */
export function openOperateClient(options: ServiceAddress & { functionName: string }): OpenOperate {
  const client = new LambdaClient(toClientConfig(options));
  const { functionName } = options;
  return {
    operate: (async (request) => invoke(client, functionName, request)) as Operate,
    close: () => client.destroy(),
  };
}

const signInErrors = [
  "CredentialsProviderError",
  "TokenProviderError",
  "ExpiredTokenException",
  "ExpiredToken",
  "UnrecognizedClientException",
  "InvalidSignatureException",
];

async function invoke(client: LambdaClient, functionName: string, request: unknown): Promise<unknown> {
  const { payload, failed } = await send(client, functionName, JSON.stringify(request));
  if (failed) throw parseInvocationFault(payload, functionName);
  return payload;
}

async function send(client: LambdaClient, FunctionName: string, Payload: string) {
  try {
    const answer = await client.send(new InvokeCommand({ FunctionName, Payload }));
    const text = answer.Payload?.transformToString("utf8") ?? "";
    return { payload: (text === "" ? null : JSON.parse(text)) as unknown, failed: answer.FunctionError !== undefined };
  } catch (error) {
    const subject = `function ${FunctionName}`;
    const name = (error as { name?: unknown }).name;
    // core classifies these names for S3, as faults of the batch or the bucket
    if (name === "ResourceNotFoundException") {
      const text = `${subject} does not exist; check --function or OPERATE_FUNCTION, and AWS_REGION`;
      throw new BlockedError("AWS_MISSING", text, { cause: error });
    }
    if (typeof name === "string" && signInErrors.includes(name)) {
      throw new BlockedError("AWS_ACCESS", `${subject}: no valid AWS credentials; sign in, and try again`, {
        cause: error,
      });
    }
    throw classifyAwsError(error, subject) ?? error;
  }
}
