import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CreateStackCommand } from "@aws-sdk/client-cloudformation";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import { resourcesOf } from "../infra/support/synthesize.ts";
import { openPipeline } from "./pipeline.ts";
import { deployStack, synthesize } from "./stack.ts";
import { physicalIds } from "./template.ts";

/** Network and database, as far as the emulator goes; what it lacks is looked at in the template. */

const deployed = inject("deployed");
const pipeline = openPipeline(deployed);
afterAll(() => pipeline.close());

const stack = "TableLoaderDatabase";

/** Types that the emulator does not know; it refuses a template that holds one of them. */
const lacking = ["AWS::EC2::FlowLog", "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress"];

let assembly: string;
let template: CloudTemplate;
let templateFile: string;
beforeAll(async () => {
  assembly = await synthesize(deployed, "database", { context: { stage: "dev" }, stack });
  templateFile = join(assembly, `${stack}.template.json`);
  template = JSON.parse(await readFile(templateFile, "utf8"));
});

/** The template without what the emulator lacks, nor anything that waits for it. */
function reduced(): CloudTemplate {
  const kept = Object.entries(template.Resources).filter(([, { Type }]) => !lacking.includes(Type));
  const ids = new Set(kept.map(([id]) => id));
  const resources = kept.map(([id, { DependsOn = [], ...resource }]) => {
    const left = [DependsOn].flat().filter((other) => ids.has(String(other)));
    return [id, left.length > 0 ? { ...resource, DependsOn: left } : resource];
  });
  return { ...template, Resources: Object.fromEntries(resources) };
}

describe("the database stack", () => {
  test("holds nothing that the emulator lacks but what is named here", async () => {
    const Capabilities = ["CAPABILITY_IAM" as const];
    const body = JSON.stringify(template);
    const command = new CreateStackCommand({ StackName: "Whole", TemplateBody: body, Capabilities });
    const refusal = await pipeline.clients.cloudFormation.send(command).then(String, (error: Error) => error.message);
    expect(refusal).toContain(`Unrecognized resource types: [${lacking.join(", ")}]`);
    console.log(`not deployed, since the emulator does not know it: ${lacking.join(", ")}`);
  });

  test("is deployed without that", async () => {
    await writeFile(templateFile, JSON.stringify(reduced()));
    await deployStack(deployed, assembly, stack);
    const ids = await physicalIds(pipeline.clients, stack);
    expect([...ids.keys()].toSorted()).toEqual(expect.arrayContaining(Object.keys(reduced().Resources).toSorted()));
  });

  test("lets the loader reach the database, and nobody else", () => {
    const properties = (type: string) => resourcesOf(template, type).map(([, resource]) => resource.Properties ?? {});
    expect(properties("AWS::EC2::FlowLog")).toHaveLength(1);
    const ingress = properties("AWS::EC2::SecurityGroupIngress");
    expect(ingress.length).toBeGreaterThan(0);
    // only from groups of the stack, never from addresses
    for (const { CidrIp, CidrIpv6, SourceSecurityGroupId } of ingress) {
      expect({ CidrIp, CidrIpv6 }).toEqual({ CidrIp: undefined, CidrIpv6: undefined });
      expect(SourceSecurityGroupId).toBeDefined();
    }
    for (const { DestinationSecurityGroupId } of properties("AWS::EC2::SecurityGroupEgress")) {
      expect(DestinationSecurityGroupId).toBeDefined();
    }
  });
});
