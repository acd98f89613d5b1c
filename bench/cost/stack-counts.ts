import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableLoaderApp } from "../../lib/infra/loader-app.ts";
import type { CloudResource, CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import type { StackCounts, Stage } from "../scale/results.ts";

const { context: flags } = JSON.parse(readFileSync(new URL("../../cdk.json", import.meta.url), "utf8")) as {
  context: object;
};

/** Resources of each stage that are paid by the month, counted in its synthesized templates. */
export const countStacks = (): Record<Stage, StackCounts> => ({ dev: countStack("dev"), prod: countStack("prod") });

function countStack(stage: Stage): StackCounts {
  const outdir = mkdtempSync(join(tmpdir(), "table-loader-cost-"));
  try {
    // The counts do not depend on the bundles.
    const app = tableLoaderApp({ outdir, context: { ...flags, "aws:cdk:bundling-stacks": [], stage } });
    const { stacks } = app.synth();
    return countResources(stacks.flatMap(({ template }) => Object.values((template as CloudTemplate).Resources)));
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

type Properties = Readonly<Record<string, unknown>>;

export function countResources(resources: readonly CloudResource[]): StackCounts {
  const of = (type: string): Properties[] =>
    resources.filter(({ Type }) => Type === type).map(({ Properties }) => (Properties ?? {}) as Properties);
  const [database = {}] = of("AWS::RDS::DBInstance");
  const managed = of("AWS::RDS::DBInstance").filter(({ ManageMasterUserPassword }) => ManageMasterUserPassword);
  const interfaces = of("AWS::EC2::VPCEndpoint").filter(({ VpcEndpointType }) => VpcEndpointType === "Interface");
  return {
    instance: String(database.DBInstanceClass ?? "none"),
    instances: database.MultiAZ === true ? 2 : 1,
    storageGb: Number(database.AllocatedStorage ?? 0),
    endpoints: interfaces.reduce((sum, { SubnetIds }) => sum + (SubnetIds as unknown[]).length, 0),
    keys: of("AWS::KMS::Key").length,
    secrets: of("AWS::SecretsManager::Secret").length + managed.length,
    alarmMetrics: of("AWS::CloudWatch::Alarm").reduce((sum, alarm) => sum + metricsOf(alarm), 0),
    dashboards: of("AWS::CloudWatch::Dashboard").length,
    queues: of("AWS::SQS::Queue").length,
  };
}

/** An expression counts by the metrics that it is made of. */
function metricsOf({ Metrics }: Properties): number {
  const parts = (Metrics ?? [{ MetricStat: {} }]) as readonly { MetricStat?: object }[];
  return parts.filter(({ MetricStat }) => MetricStat !== undefined).length;
}
