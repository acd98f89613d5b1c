import { GetTemplateCommand, ListStackResourcesCommand } from "@aws-sdk/client-cloudformation";
import type { CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import type { Clients } from "./clients.ts";
import { stackName } from "./stack.ts";

/** The stack's template as CloudFormation has it. */
export async function deployedTemplate({ cloudFormation }: Pick<Clients, "cloudFormation">): Promise<CloudTemplate> {
  const command = new GetTemplateCommand({ StackName: stackName, TemplateStage: "Original" });
  const { TemplateBody = "" } = await cloudFormation.send(command);
  return JSON.parse(TemplateBody) as CloudTemplate;
}

/** The names that a stack's resources got, by logical id. */
export async function physicalIds(
  { cloudFormation }: Pick<Clients, "cloudFormation">,
  StackName: string = stackName,
): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  let NextToken: string | undefined;
  do {
    const page = await cloudFormation.send(new ListStackResourcesCommand({ StackName, NextToken }));
    for (const { LogicalResourceId: logical, PhysicalResourceId: physical } of page.StackResourceSummaries ?? []) {
      if (logical && physical) ids.set(logical, physical);
    }
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return ids;
}
