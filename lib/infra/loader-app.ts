import { App, type AppProps, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { readContext } from "./context.ts";
import type { DatabaseAccess } from "./database-access.ts";
import { DatabaseStack, type DatabaseStackProps } from "./database-stack.ts";
import { acknowledgeDatabase } from "./nag-acknowledgements.ts";
import { keepProviderLogs } from "./provider-logs.ts";
import { TableLoaderStack } from "./table-loader-stack.ts";

/** The app: the pipeline, and a database of its own unless the context names an existing one. */
export function tableLoaderApp(props: AppProps = {}): App {
  const app = new App({ analyticsReporting: false, ...props });
  const context = readContext(app.node);
  const tags = { application: "table-loader", stage: context.stage };
  // Of the stacks as well: the CDK does not know of every resource that it takes tags, CloudFormation does.
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
