import type { HorizontalAnnotation, Metric } from "aws-cdk-lib/aws-cloudwatch";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import {
  AxisPosition,
  type CustomMetric,
  type CustomMetricGroup,
  type CustomMonitoringProps,
  GraphWidgetType,
} from "cdk-monitoring-constructs";
import { otherFunctions, taskStates } from "../core/machine.ts";
import { type AlarmName, type AlarmSources, deadLetters, failedExecutions } from "./alarms.ts";
import { taskNameOf } from "./capacity.ts";
import { failureRate, loaderMetric, period, taskMetrics } from "./loader-metrics.ts";

export type DashboardSources = AlarmSources & {
  readonly arrivals: IQueue;
  readonly limitOf: (alarm: AlarmName) => HorizontalAnnotation;
};

type Group = CustomMetricGroup;

const chartHeight = 6;

/** The sections of the dashboard, from loads down to functions and arrivals. */
export function dashboardSections(sources: DashboardSources): CustomMonitoringProps[] {
  const section = (humanReadableName: string, metricGroups: Group[]): CustomMonitoringProps => ({
    alarmFriendlyName: humanReadableName,
    humanReadableName,
    metricGroups,
    height: chartHeight,
  });
  return [
    section("Loads", loads(sources)),
    section("Records", records()),
    section("Database", database(sources)),
    section("Functions", functions(sources)),
    section("Intake", intake(sources)),
  ];
}

const count = { label: "count", min: 0, showUnits: false } as const;
const percent = { label: "%", min: 0, max: 100, showUnits: false } as const;
const seconds = { label: "seconds", min: 0, showUnits: false } as const;

type Name = Parameters<typeof loaderMetric>[0];
const sumOf = (name: Name, label: string): Metric => loaderMetric(name, { statistic: "Sum", label });
const mostOf = (name: Name, label: string): Metric => loaderMetric(name, { statistic: "Maximum", label });
const averageOf = (name: Name, label: string): Metric => loaderMetric(name, { statistic: "Average", label });

/** The library puts only metrics with alarms on the right axis, so this one gets an empty set of alarms. */
function onTheRight(metric: Metric): CustomMetric {
  return { metric, alarmFriendlyName: String(metric.label), addAlarm: {}, position: AxisPosition.RIGHT };
}

function loads({ limitOf }: DashboardSources): Group[] {
  return [
    {
      title: "Batches that ended",
      graphWidgetAxis: count,
      metrics: [sumOf("BatchesLoaded", "loaded"), sumOf("BatchesFailed", "failed")],
    },
    {
      title: "Failure rate",
      graphWidgetAxis: percent,
      horizontalAnnotations: [limitOf("FailureRate")],
      metrics: [failureRate(period)],
    },
    {
      title: "Batches that have not ended",
      graphWidgetAxis: count,
      metrics: [
        mostOf("BatchesWaiting", "waiting"),
        mostOf("BatchesInLine", "in line"),
        mostOf("BlockedLoads", "blocked"),
        mostOf("StalledLoads", "stalled"),
      ],
    },
    {
      title: "Duration of a load",
      graphWidgetAxis: seconds,
      metrics: [averageOf("LoadSeconds", "average"), mostOf("LoadSeconds", "longest")],
    },
  ];
}

function records(): Group[] {
  return [
    {
      title: "What became of records",
      graphWidgetType: GraphWidgetType.STACKED_AREA,
      graphWidgetAxis: count,
      metrics: [
        sumOf("RecordsInserted", "inserted"),
        sumOf("RecordsUpdated", "updated"),
        sumOf("RecordsUnchanged", "unchanged"),
        sumOf("RecordsSkipped", "skipped"),
        sumOf("RecordsCollapsed", "collapsed"),
        sumOf("RecordsDeleted", "deleted"),
        sumOf("RecordsRejected", "rejected"),
      ],
    },
    {
      title: "Records per second",
      graphWidgetAxis: count,
      metrics: [averageOf("RecordsPerSecond", "a load"), averageOf("StagedRecordsPerSecond", "a worker, staging")],
    },
    {
      title: "Checkpoints",
      graphWidgetAxis: { ...count, label: "records" },
      graphWidgetRightAxis: { ...count, label: "bytes" },
      metrics: [sumOf("StagedRecords", "records staged"), onTheRight(sumOf("StagedBytes", "bytes staged"))],
    },
    {
      title: "Since the last checkpoint",
      graphWidgetAxis: seconds,
      metrics: [mostOf("SecondsSinceCheckpoint", "the stillest load")],
    },
  ];
}

function database({ limitOf }: DashboardSources): Group[] {
  return [
    {
      title: "Connections in use",
      graphWidgetAxis: percent,
      horizontalAnnotations: [limitOf("DatabaseConnections")],
      metrics: [mostOf("ConnectionsUsed", "of max_connections")],
    },
    {
      title: "Deadlocks and retries",
      graphWidgetAxis: count,
      metrics: [sumOf("Deadlocks", "deadlocks"), sumOf("Retries", "retries")],
    },
    {
      title: "Work items pending",
      graphWidgetAxis: count,
      metrics: [mostOf("WorkItemsPending", "fragments")],
    },
  ];
}

const taskNames: readonly string[] = [...Object.keys(taskStates), ...otherFunctions.map(taskNameOf)];

function functions({ limitOf }: DashboardSources): Group[] {
  return [
    {
      title: "Longest invocation",
      graphWidgetAxis: seconds,
      metrics: taskMetrics("TaskSeconds", taskNames, { statistic: "Maximum" }),
    },
    {
      title: "Memory in use",
      graphWidgetAxis: percent,
      horizontalAnnotations: [limitOf("Memory")],
      metrics: [mostOf("MemoryUsed", "the fullest function")],
    },
    {
      title: "Most memory",
      graphWidgetAxis: { ...count, label: "MB" },
      metrics: taskMetrics("MemoryMegabytes", taskNames, { statistic: "Maximum" }),
    },
    {
      title: "Cold starts",
      graphWidgetAxis: count,
      metrics: taskMetrics("ColdStarts", taskNames, { statistic: "Sum" }),
    },
  ];
}

function intake(sources: DashboardSources): Group[] {
  const { arrivals, stateMachine } = sources;
  const most = { period, statistic: "Maximum" };
  const ended = { period, statistic: "Sum" };
  return [
    {
      title: "Arrivals not looked at",
      graphWidgetAxis: count,
      graphWidgetRightAxis: seconds,
      metrics: [
        arrivals.metricApproximateNumberOfMessagesVisible({ ...most, label: "messages" }),
        onTheRight(arrivals.metricApproximateAgeOfOldestMessage({ ...most, label: "age of the oldest" })),
      ],
    },
    {
      title: "Dead letters",
      graphWidgetAxis: count,
      horizontalAnnotations: [sources.limitOf("DeadLetters")],
      metrics: [deadLetters(sources)],
    },
    {
      title: "Executions",
      graphWidgetAxis: count,
      metrics: [
        stateMachine.metricStarted({ ...ended, label: "started" }),
        stateMachine.metricSucceeded({ ...ended, label: "succeeded" }),
        failedExecutions(sources),
      ],
    },
    {
      title: "Sweeps and contracts",
      graphWidgetAxis: count,
      metrics: [sumOf("Sweeps", "sweeps"), mostOf("ContractsInvalid", "invalid contracts")],
    },
  ];
}
