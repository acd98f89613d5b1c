import { beforeAll, describe, expect, test } from "vitest";
import type { CloudResource, CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import { resourcesOf, synthesizeApp } from "./support/synthesize.ts";

let template: CloudTemplate;
beforeAll(() => {
  template = synthesizeApp().pipeline;
});

type Properties = Readonly<Record<string, unknown>>;
type Attribute = { readonly "Fn::GetAtt": readonly [id: string, name: string] };
type Target = { readonly Arn: Attribute; readonly DeadLetterConfig: { readonly Arn: Attribute } };

function only(type: string, has: (properties: Properties) => boolean): [id: string, properties: Properties] {
  const found = resourcesOf(template, type).filter(([, { Properties }]) => has(Properties ?? {}));
  expect(found).toHaveLength(1);
  const [id, { Properties }] = found[0] as [string, CloudResource];
  return [id, Properties ?? {}];
}

const idOf = ({ "Fn::GetAtt": [id] }: Attribute): string => id;

describe("E07: an event that EventBridge cannot deliver", () => {
  const rule = () => only("AWS::Events::Rule", ({ EventPattern }) => JSON.stringify(EventPattern)?.includes("aws.s3"));
  function target(): Target {
    const [, { Targets }] = rule();
    expect(Targets).toHaveLength(1);
    return (Targets as Target[])[0] as Target;
  }

  test("goes to a queue of the rule's own, for two weeks", () => {
    const { Arn, DeadLetterConfig } = target();
    expect(idOf(DeadLetterConfig.Arn)).not.toBe(idOf(Arn));
    const queue = template.Resources[idOf(DeadLetterConfig.Arn)];
    expect(queue?.Properties).toMatchObject({ MessageRetentionPeriod: 14 * 24 * 3600 });
  });

  test("is one that this rule alone may send, to both queues", () => {
    const ruleArn = JSON.stringify({ "Fn::GetAtt": [rule()[0], "Arn"] });
    for (const queue of [target().Arn, target().DeadLetterConfig.Arn].map(idOf)) {
      const [, { PolicyDocument }] = only("AWS::SQS::QueuePolicy", ({ Queues }) =>
        JSON.stringify(Queues).includes(`"${queue}"`),
      );
      const { Statement } = PolicyDocument as { Statement: Properties[] };
      const allowed = Statement.filter(({ Effect }) => Effect === "Allow");
      expect(allowed.map(({ Principal }) => Principal)).toEqual([{ Service: "events.amazonaws.com" }]);
      expect(JSON.stringify(allowed[0]?.Condition)).toContain(ruleArn);
      expect([allowed[0]?.Action].flat()).toContain("sqs:SendMessage");
    }
  });

  test("raises the alarm with its first message, as one that start-load gave back too often does", () => {
    const [, alarm] = only("AWS::CloudWatch::Alarm", ({ AlarmDescription }) =>
      String(AlarmDescription).endsWith("#dead-letters"),
    );
    expect(alarm).toMatchObject({ Threshold: 1, EvaluationPeriods: 1 });
    const [arrivals, queue] = only("AWS::SQS::Queue", ({ RedrivePolicy }) => RedrivePolicy !== undefined);
    expect(idOf(target().Arn)).toBe(arrivals);
    const { deadLetterTargetArn } = queue.RedrivePolicy as { deadLetterTargetArn: Attribute };
    const metrics = JSON.stringify(alarm.Metrics);
    for (const letters of [deadLetterTargetArn, target().DeadLetterConfig.Arn]) {
      expect(metrics).toContain(`"${idOf(letters)}"`);
    }
    expect(metrics).not.toContain(`"${arrivals}"`);
  });
});

test("operate knows all three queues by name, for the CLI to ask them", () => {
  const [, operate] = only("AWS::Lambda::Function", ({ Description }) => Description === "Table Loader: operate");
  const { Variables } = operate.Environment as { Variables: Readonly<Record<string, { readonly Ref: string }>> };
  const named = ["ARRIVALS", "DEAD_LETTER", "UNDELIVERED"].map((name) => Variables[`${name}_QUEUE_URL`]?.Ref ?? "");
  const queues = resourcesOf(template, "AWS::SQS::Queue").map(([id]) => id);
  expect(named.toSorted()).toEqual(queues.toSorted());
});
