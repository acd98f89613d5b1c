import { CfnResource, RemovalPolicy, type Stack } from "aws-cdk-lib";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import type { IConstruct } from "constructs";

const isProviderFunction = (node: IConstruct): node is CfnResource =>
  CfnResource.isCfnResource(node) &&
  node.cfnResourceType === "AWS::Lambda::Function" &&
  /CustomResourceProvider\/Handler$/.test(node.node.path);

/**
 * The functions behind the CDK's own custom resources bring no log group: Lambda would make one that nothing ever
 * empties and no deletion of the stack removes.
 */
export function keepProviderLogs(stack: Stack): void {
  for (const handler of stack.node.findAll().filter(isProviderFunction)) {
    const logs = new LogGroup(handler.node.scope ?? stack, "Logs", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    handler.addPropertyOverride("LoggingConfig", { LogGroup: logs.logGroupName });
  }
}
