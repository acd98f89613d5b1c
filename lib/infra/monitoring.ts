import { Stack } from "aws-cdk-lib";
import { AlarmStatusWidget, type HorizontalAnnotation, TextWidget } from "aws-cdk-lib/aws-cloudwatch";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import {
  type AlarmWithAnnotation,
  DashboardRenderingPreference,
  DefaultDashboardFactory,
  MonitoringFacade,
  SingleWidgetDashboardSegment,
  SnsAlarmActionStrategy,
} from "cdk-monitoring-constructs";
import { Construct } from "constructs";
import { type AlarmName, type AlarmSources, alarmNames, watchedBy } from "./alarms.ts";
import { type DashboardSources, dashboardSections } from "./dashboard.ts";

type MonitoringProps = AlarmSources & {
  readonly topic: ITopic;
  /** Events that start-load has not taken yet. */
  readonly arrivals: IQueue;
};

const runbook = "docs/runbook.md";

/** The alarms, each of which links its entry in the runbook, and one dashboard that shows what they watch. */
export class Monitoring extends Construct {
  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id);
    const { stackName } = Stack.of(this);
    const facade = openFacade(this, stackName, props.topic);
    const alarms = addAlarms(facade, stackName, props);
    facade.addSegment(new SingleWidgetDashboardSegment(introduction()));
    const status = new AlarmStatusWidget({
      title: "Alarms",
      alarms: Object.values(alarms).map(({ alarm }) => alarm),
      width: 24,
      height: 3,
    });
    facade.addSegment(new SingleWidgetDashboardSegment(status));
    const sources: DashboardSources = { ...props, limitOf: (name) => limitOf(alarms[name]) };
    for (const section of dashboardSections(sources)) facade.monitorCustom(section);
  }
}

function openFacade(scope: Construct, stackName: string, topic: ITopic): MonitoringFacade {
  return new MonitoringFacade(scope, "Facade", {
    alarmFactoryDefaults: {
      actionsEnabled: true,
      alarmNamePrefix: stackName,
      action: new SnsAlarmActionStrategy({ onAlarmTopic: topic, onOkTopic: topic }),
    },
    dashboardFactory: new DefaultDashboardFactory(scope, "Dashboards", {
      dashboardNamePrefix: stackName,
      createSummaryDashboard: false,
      renderingPreference: DashboardRenderingPreference.INTERACTIVE_ONLY,
    }),
  });
}

type Alarms = Readonly<Record<AlarmName, AlarmWithAnnotation>>;

function addAlarms(facade: MonitoringFacade, stackName: string, sources: AlarmSources): Alarms {
  const factory = facade.createAlarmFactory(stackName);
  const watched = watchedBy(sources);
  const added = alarmNames.map((name) => {
    const { anchor, what, metric, rule } = watched[name];
    const alarmDescription = `Table Loader: ${what}. What to do: ${runbook}#${anchor}`;
    const alarm = factory.addAlarm(metric, {
      ...rule,
      datapointsToAlarm: rule.evaluationPeriods ?? 1,
      alarmNameSuffix: name,
      alarmNameOverride: `${stackName}-${name}`,
      alarmDescription,
      alarmDescriptionOverride: alarmDescription,
    });
    return [name, alarm] as const;
  });
  return Object.fromEntries(added) as Alarms;
}

/** The alarm's threshold, as a line in a chart. */
function limitOf({ alarmDefinition }: AlarmWithAnnotation): HorizontalAnnotation {
  return { value: alarmDefinition.addAlarmProps.threshold, label: "alarm", color: "#d13212" };
}

function introduction(): TextWidget {
  const markdown = `# Table Loader\nWhat each alarm means, how to look and what to do: \`${runbook}\`. Periods are five minutes.`;
  return new TextWidget({ markdown, width: 24, height: 2 });
}
