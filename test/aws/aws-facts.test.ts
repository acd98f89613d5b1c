import { expect, test } from "vitest";
import { openBucketDoctor } from "../../lib/aws/aws-facts.ts";
import { bucketName } from "./support/local-store.ts";
import { openScriptedS3, sends } from "./support/scripted-s3.ts";

/** S3 says by an empty element that it tells EventBridge. */
const notifications = (inside: string) =>
  sends(
    `<?xml version="1.0"?><NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside}</NotificationConfiguration>`,
    { "content-type": "application/xml" },
  );
const queue = "<QueueConfiguration><Queue>arn</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>";

test.each([
  ["<EventBridgeConfiguration/>", true],
  [`<EventBridgeConfiguration></EventBridgeConfiguration>${queue}`, true],
  [queue, false],
  ["", false],
])("of %j, EventBridge is told: %s", async (inside, told) => {
  const { endpoint, requests, close } = await openScriptedS3([notifications(inside)]);
  const doctor = openBucketDoctor({ region: "us-east-1", endpoint, bucket: bucketName, bucketOwner: null });
  expect(await doctor.sendsEvents()).toBe(told);
  expect(requests).toEqual([expect.stringMatching(/^GET .*\?notification/)]);
  doctor.close();
  await close();
});
