import { Duration } from "aws-cdk-lib";
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { StateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { metricNames, metricsNamespace, serviceName } from "../core/states.ts";

export type AlarmsProps = {
  readonly topic: ITopic;
  readonly stateMachine: StateMachine;
  /** The queue's dead letters, and the events that were not delivered to it. */
  readonly deadLetterQueues: readonly IQueue[];
};

type Watched = {
  /** Of the entry in docs/runbook.md. */
  readonly anchor: string;
  readonly what: string;
  readonly metric: IMetric;
};

const period = Duration.minutes(5);

/** The alarms, each with its entry in docs/runbook.md. */
export class Alarms extends Construct {
  private readonly topic: ITopic;

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.topic = props.topic;
    this.atLeastOne("DeadLetters", {
      anchor: "dead-letters",
      what: "an event could not be turned into a load",
      metric: waiting(props.deadLetterQueues),
    });
    this.atLeastOne("FailedExecutions", {
      anchor: "failed-executions",
      what: "a load failed",
      metric: failures(props.stateMachine),
    });
    this.atLeastOne("StalledLoads", {
      anchor: "stalled-loads",
      what: "a load has not moved for 5 minutes",
      metric: ofLoader(metricNames.stalledLoads),
    });
    this.atLeastOne("BlockedLoads", {
      anchor: "blocked-loads",
      what: "a load waits for its environment",
      metric: ofLoader(metricNames.blockedLoads),
    });
  }

  private atLeastOne(id: string, { anchor, what, metric }: Watched): void {
    const alarm = new Alarm(this, id, {
      alarmDescription: `Table Loader: ${what}. What to do: docs/runbook.md#${anchor}`,
      metric,
      threshold: 1,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    alarm.addOkAction(new SnsAction(this.topic));
  }
}

function waiting(queues: readonly IQueue[]): IMetric {
  return sum(queues.map((queue) => queue.metricApproximateNumberOfMessagesVisible({ period, statistic: "max" })));
}

function failures(machine: StateMachine): IMetric {
  const options = { period, statistic: "sum" };
  return sum([machine.metricFailed(options), machine.metricTimedOut(options), machine.metricAborted(options)]);
}

function ofLoader(metricName: string): IMetric {
  return new Metric({
    namespace: metricsNamespace,
    metricName,
    dimensionsMap: { service: serviceName },
    statistic: "max",
    period,
  });
}

/** A queue or a machine that reports nothing counts as none. */
function sum(metrics: readonly IMetric[]): IMetric {
  const usingMetrics = Object.fromEntries(metrics.map((metric, index) => [`m${index}`, metric]));
  const expression = Object.keys(usingMetrics)
    .map((name) => `FILL(${name}, 0)`)
    .join(" + ");
  return new MathExpression({ expression, usingMetrics, period });
}
