import { App, type AppProps, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { type LoaderContext, readContext } from "./context.ts";
import type { DatabaseAccess } from "./database-access.ts";
import { DatabaseStack } from "./database-stack.ts";
import { acknowledgeDatabase } from "./nag-acknowledgements.ts";
import { TableLoaderStack } from "./table-loader-stack.ts";

/** The app: the pipeline, and a database of its own unless the context names an existing one. */
export function tableLoaderApp(props: AppProps = {}): App {
  const app = new App({ analyticsReporting: false, ...props });
  const context = readContext(app.node);
  const terminationProtection = context.stage === "prod";
  const database = context.databaseHost === undefined ? ownDatabase(app, context) : undefined;
  new TableLoaderStack(app, "TableLoader", { context, terminationProtection, ...(database && { database }) });
  Tags.of(app).add("application", "table-loader");
  Tags.of(app).add("stage", context.stage);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return app;
}

function ownDatabase(app: App, context: LoaderContext): DatabaseAccess {
  const prod = context.stage === "prod";
  const stack = new DatabaseStack(app, "TableLoaderDatabase", { context, terminationProtection: prod });
  acknowledgeDatabase(stack.instance, prod);
  return stack.access;
}
