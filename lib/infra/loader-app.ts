import { App, type AppProps, CfnResource, RemovalPolicy, type Stack, Tags, Validations } from "aws-cdk-lib";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { AwsSolutionsChecks } from "cdk-nag";
import type { IConstruct } from "constructs";
import { readContext } from "./context.ts";
import type { DatabaseAccess } from "./database-network.ts";
import { DatabaseStack, type DatabaseStackProps } from "./database-stack.ts";
import { acknowledgeDatabase } from "./nag-acknowledgements.ts";
import { TableLoaderStack } from "./table-loader-stack.ts";

/** The CDK app: the pipeline, and a new database unless the context names an existing one. */
export function tableLoaderApp(props: AppProps = {}): App {
  const app = new App({ analyticsReporting: false, ...props });
  const context = readContext(app.node);
  const tags = { application: "table-loader", stage: context.stage };
  // Stacks are tagged as well: CloudFormation also tags resources that the CDK does not know to take tags.
  const options = { context, tags, terminationProtection: context.stage === "prod" };
  const database = context.databaseHost === undefined ? ownDatabase(app, options) : undefined;
  keepProviderLogs(new TableLoaderStack(app, "TableLoader", { ...options, ...(database && { database }) }));
  for (const [name, value] of Object.entries(tags)) Tags.of(app).add(name, value);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return app;
}

function ownDatabase(app: App, options: DatabaseStackProps): DatabaseAccess {
  const stack = new DatabaseStack(app, "TableLoaderDatabase", options);
  acknowledgeDatabase(stack.instance, options.context.stage === "prod");
  keepProviderLogs(stack);
  return stack.access;
}

const isProviderFunction = (node: IConstruct): node is CfnResource =>
  CfnResource.isCfnResource(node) &&
  node.cfnResourceType === "AWS::Lambda::Function" &&
  /CustomResourceProvider\/Handler$/.test(node.node.path);

/**
 * Gives log groups to the functions behind the CDK's own custom resources. Lambda would create groups that never expire
 * and outlive the stack.
 */
function keepProviderLogs(stack: Stack): void {
  for (const handler of stack.node.findAll().filter(isProviderFunction)) {
    const logs = new LogGroup(handler.node.scope ?? stack, "Logs", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    handler.addPropertyOverride("LoggingConfig", { LogGroup: logs.logGroupName });
  }
}
