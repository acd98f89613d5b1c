import { Duration } from "aws-cdk-lib";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import { Errors, type IChainable, JsonPath, TaskInput, Timeout } from "aws-cdk-lib/aws-stepfunctions";
import { SnsPublish } from "aws-cdk-lib/aws-stepfunctions-tasks";
import type { Construct } from "constructs";
import { retryTransientFaults } from "./machine-tasks.ts";

const snsFaults = ["SNS.InternalErrorException", "SNS.ThrottledException", "SNS.SdkClientException", Errors.TIMEOUT];

export type NoticeProps = {
  readonly topic: ITopic;
  /** Where to go on, sent or not. */
  readonly next: IChainable;
  /** @default what CloseBatch wrote: status, batch id, counts */
  readonly message?: string;
};

/** Sends a text; whether that succeeds changes no outcome. */
export function noticeTask(scope: Construct, state: string, props: NoticeProps): SnsPublish {
  const { topic, next, message = JsonPath.stringAt("$.close.result.notice") } = props;
  const notice = new SnsPublish(scope, state, {
    topic,
    message: TaskInput.fromText(message),
    resultPath: JsonPath.DISCARD,
    taskTimeout: Timeout.duration(Duration.seconds(30)),
  });
  retryTransientFaults(notice, snsFaults, 3);
  notice.addCatch(next, { errors: [Errors.ALL], resultPath: JsonPath.DISCARD });
  notice.next(next);
  return notice;
}
