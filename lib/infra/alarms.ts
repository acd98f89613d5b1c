import { Duration } from "aws-cdk-lib";
import { ComparisonOperator, type MathExpression, type Metric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { StateMachine } from "aws-cdk-lib/aws-stepfunctions";
import type { AddAlarmProps } from "cdk-monitoring-constructs";
import { stallMinutes, sweepAlarmMinutes, sweepIntervalMinutes } from "../core/durations.ts";
import { failureRate, loaderMetric, period, sum } from "./loader-metrics.ts";

/** The catalog of alarms: what each one watches, and from when on it is raised. */

export type AlarmSources = {
  readonly stateMachine: StateMachine;
  /** The queue of dead letters, and the queue of events that EventBridge could not deliver. */
  readonly deadLetterQueues: readonly IQueue[];
};

type Watched = {
  /** Anchor of the alarm's entry in docs/runbook.md. */
  readonly anchor: string;
  readonly what: string;
  readonly metric: Metric | MathExpression;
  readonly rule: Pick<AddAlarmProps, "threshold" | "comparisonOperator" | "treatMissingData" | "evaluationPeriods">;
};

export const alarmNames = [
  "DeadLetters",
  "FailedExecutions",
  "FailureRate",
  "StalledLoads",
  "BlockedLoads",
  "InvalidContracts",
  "Memory",
  "DatabaseConnections",
  "SilentSweep",
] as const;

export type AlarmName = (typeof alarmNames)[number];

const once = { evaluationPeriods: 1, treatMissingData: TreatMissingData.NOT_BREACHING } as const;
const atLeastOne: Watched["rule"] = {
  ...once,
  threshold: 1,
  comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
};
const above = (threshold: number): Watched["rule"] => ({
  ...once,
  threshold,
  comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
});
/** The one rule by which missing data is an alarm: without sweeps, stalled loads are not counted at all. */
const missingFor = (evaluationPeriods: number): Watched["rule"] => ({
  evaluationPeriods,
  threshold: 1,
  comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
  treatMissingData: TreatMissingData.BREACHING,
});

const most = { statistic: "Maximum" } as const;

export function watchedBy(sources: AlarmSources): Readonly<Record<AlarmName, Watched>> {
  return {
    DeadLetters: {
      anchor: "dead-letters",
      what: "an event could not be turned into a load",
      metric: deadLetters(sources),
      rule: atLeastOne,
    },
    FailedExecutions: {
      anchor: "failed-executions",
      what: "a load failed",
      metric: failedExecutions(sources),
      rule: atLeastOne,
    },
    ...watchedLoads,
    Memory: {
      anchor: "memory",
      what: "a function holds more than 80 % of its memory",
      metric: loaderMetric("MemoryUsed", most),
      rule: above(80),
    },
    DatabaseConnections: {
      anchor: "database-connections",
      what: "more than 90 % of the database's connections are in use",
      metric: loaderMetric("ConnectionsUsed", most),
      rule: above(90),
    },
    SilentSweep: {
      anchor: "silent-sweep",
      what: `no sweep for ${sweepAlarmMinutes} minutes, so that nobody sees stalled loads`,
      metric: loaderMetric("Sweeps", { statistic: "Sum" }),
      rule: missingFor(sweepAlarmMinutes / sweepIntervalMinutes),
    },
  };
}

const watchedLoads = {
  FailureRate: {
    anchor: "failure-rate",
    what: "more than 5 % of the batches of an hour failed",
    metric: failureRate(Duration.hours(1)),
    rule: above(5),
  },
  StalledLoads: {
    anchor: "stalled-loads",
    what: `a load has not moved for ${stallMinutes} minutes`,
    metric: loaderMetric("StalledLoads", most),
    rule: atLeastOne,
  },
  BlockedLoads: {
    anchor: "blocked-loads",
    what: "a load waits for its environment",
    metric: loaderMetric("BlockedLoads", most),
    rule: atLeastOne,
  },
  InvalidContracts: {
    anchor: "invalid-contracts",
    what: "the newest table contracts cannot be used",
    metric: loaderMetric("ContractsInvalid", most),
    rule: atLeastOne,
  },
} as const satisfies Partial<Record<AlarmName, Watched>>;

export function deadLetters({ deadLetterQueues }: AlarmSources): MathExpression {
  const options = { period, statistic: "Maximum" };
  const waiting = deadLetterQueues.map((queue) => queue.metricApproximateNumberOfMessagesVisible(options));
  return sum(waiting, "dead letters");
}

export function failedExecutions({ stateMachine }: AlarmSources): MathExpression {
  const options = { period, statistic: "Sum" };
  const ended = [
    stateMachine.metricFailed(options),
    stateMachine.metricTimedOut(options),
    stateMachine.metricAborted(options),
  ];
  return sum(ended, "failed executions");
}
