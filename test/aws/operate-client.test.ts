import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, expect, test } from "vitest";
import { openOperateClient } from "../../lib/aws/operate-client.ts";
import { BlockedError, PermanentError } from "../../lib/core/errors.ts";

const lambda = mockClient(LambdaClient);
beforeEach(() => lambda.reset());

const { operate } = openOperateClient({ functionName: "operate", region: "us-east-1", endpoint: null });
const payload = (value: unknown) => ({ transformToString: () => JSON.stringify(value) }) as never;
const named = (name: string) => Object.assign(new Error("no"), { name, $metadata: { httpStatusCode: 404 } });

test("hands the request to the function, and its answer back", async () => {
  lambda.on(InvokeCommand).resolves({ Payload: payload({ batches: [] }) });
  expect(await operate({ operation: "batches" })).toEqual({ batches: [] });
  expect(lambda.commandCalls(InvokeCommand)[0]?.args[0].input).toEqual({
    FunctionName: "operate",
    Payload: '{"operation":"batches"}',
  });
});

test("an error of the function keeps kind, code and message", async () => {
  const thrown = { errorType: "PermanentError", errorMessage: "NOTHING_TO_APPROVE: drop fragments first" };
  lambda.on(InvokeCommand).resolves({ FunctionError: "Unhandled", Payload: payload(thrown) });
  const error = await operate({ operation: "batches" }).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(PermanentError);
  expect(error).toMatchObject({ code: "NOTHING_TO_APPROVE", message: thrown.errorMessage });
});

test.each([
  ["ResourceNotFoundException", "AWS_MISSING", /function operate does not exist; check --function/],
  ["CredentialsProviderError", "AWS_ACCESS", /no valid AWS credentials/],
  ["AccessDeniedException", "AWS_ACCESS", /permissions/],
])("%s is the environment's fault: %s", async (name, code, message) => {
  lambda.on(InvokeCommand).rejects(named(name));
  const error = await operate({ operation: "batches" }).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(BlockedError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
});
