import { Duration } from "aws-cdk-lib";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import { Errors, type IChainable, JsonPath, TaskInput, Timeout } from "aws-cdk-lib/aws-stepfunctions";
import { SnsPublish } from "aws-cdk-lib/aws-stepfunctions-tasks";
import type { Construct } from "constructs";
import { keepingError, retryTransientFaults } from "./machine-tasks.ts";

const snsFaults = ["SNS.InternalErrorException", "SNS.ThrottledException", "SNS.SdkClientException", Errors.TIMEOUT];

export type NoticeProps = {
  readonly topic: ITopic;
  /** Where to go on, sent or not. */
  readonly next: IChainable;
};

/** Sends the text that CloseBatch wrote (status, batch id, counts). */
export function noticeTask(scope: Construct, state: string, props: NoticeProps): SnsPublish {
  const { topic, next } = props;
  const notice = new SnsPublish(scope, state, {
    topic,
    message: TaskInput.fromJsonPathAt("$.close.result.notice"),
    resultPath: JsonPath.DISCARD,
    taskTimeout: Timeout.duration(Duration.seconds(30)),
  });
  retryTransientFaults(notice, snsFaults, 3);
  notice.addCatch(next, { errors: [Errors.ALL], ...keepingError });
  notice.next(next);
  return notice;
}
