import { ListObjectsV2Command, S3Client, S3ServiceException } from "@aws-sdk/client-s3";
import { DescribeStateMachineCommand, ListExecutionsCommand, SFNClient } from "@aws-sdk/client-sfn";
import { GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { mockClient } from "aws-sdk-client-mock";
import { afterEach, expect, test } from "vitest";
import { openBucketDoctor, openMachineDoctor, openQueueDoctor } from "../../lib/aws/aws-facts.ts";

/** What AWS answers to doctor's questions where the answer is no. */

const s3 = mockClient(S3Client);
const sfn = mockClient(SFNClient);
const sqs = mockClient(SQSClient);
afterEach(() => {
  for (const mock of [s3, sfn, sqs]) mock.reset();
});

const region = "us-east-1";
const place = { region, endpoint: null };
const named = (name: string): Error => Object.assign(new Error("why"), { name });

test("a bucket of another region or of another owner", async () => {
  const doctor = openBucketDoctor({ ...place, bucket: "fragments", bucketOwner: "123456789012" });
  const redirect = { name: "PermanentRedirect", $fault: "client", $metadata: { httpStatusCode: 301 } } as const;
  s3.on(ListObjectsV2Command).rejects(new S3ServiceException(redirect));
  await expect(doctor.list()).rejects.toMatchObject({
    code: "S3_BUCKET",
    message: expect.stringContaining(region),
  });
  s3.on(ListObjectsV2Command).rejects(named("AccessDenied"));
  await expect(doctor.list()).rejects.toMatchObject({ code: "S3_ACCESS" });
  expect(s3.commandCalls(ListObjectsV2Command)[0]?.args[0].input).toEqual({
    Bucket: "fragments",
    ExpectedBucketOwner: "123456789012",
    MaxKeys: 1,
  });
});

test("a machine that is there, is not, or may not be asked", async () => {
  const doctor = openMachineDoctor({ ...place, stateMachineArn: "arn" });
  const startDate = new Date(0);
  sfn.on(DescribeStateMachineCommand).resolves({ status: "DELETING" });
  sfn.on(ListExecutionsCommand, { stateMachineArn: "arn", statusFilter: "RUNNING" }).resolves({
    executions: [{ executionArn: "arn:e", stateMachineArn: "arn", name: "e", status: "RUNNING", startDate }],
  });
  expect(await doctor.status()).toBe("DELETING");
  expect(await doctor.running()).toEqual([{ name: "e", startedAt: startDate }]);
  sfn.on(DescribeStateMachineCommand).rejects(named("StateMachineDoesNotExist"));
  await expect(doctor.status()).rejects.toMatchObject({ code: "AWS_MISSING" });
  sfn.on(DescribeStateMachineCommand).rejects(named("AccessDeniedException"));
  await expect(doctor.status()).rejects.toMatchObject({ code: "AWS_ACCESS" });
});

test("a queue's depth, and a queue that may not be asked, or is not there", async () => {
  const doctor = openQueueDoctor(place);
  const Attributes = { ApproximateNumberOfMessages: "3", ApproximateNumberOfMessagesNotVisible: "4" };
  sqs.on(GetQueueAttributesCommand).resolves({ Attributes });
  expect(await doctor.measure("url")).toEqual({ waiting: 3, inFlight: 4 });
  sqs.on(GetQueueAttributesCommand).rejects(named("AccessDenied"));
  await expect(doctor.measure("url")).rejects.toMatchObject({
    code: "AWS_ACCESS",
    message: expect.stringContaining("queue url: it may not be asked; allow sqs:GetQueueAttributes"),
  });
  for (const name of ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"]) {
    sqs.on(GetQueueAttributesCommand).rejects(named(name));
    await expect(doctor.measure("url")).rejects.toMatchObject({ code: "AWS_MISSING" });
  }
});
