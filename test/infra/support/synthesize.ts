import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableLoaderApp } from "../../../lib/infra/loader-app.ts";
import type { CloudResource, CloudTemplate } from "../../../lib/infra/synthesize-machine.ts";

const { context: flags } = JSON.parse(readFileSync(new URL("../../../cdk.json", import.meta.url), "utf8"));

export type Templates = { readonly pipeline: CloudTemplate; readonly database: CloudTemplate | null };

export const existingDatabase = {
  databaseHost: "db.example.org",
  databaseSecretArn: "arn:aws:secretsmanager:us-east-1:000000000000:secret:db",
};

/** Synthesizes the whole app as `cdk synth` does, nag included, but for the bundles. */
export function synthesizeApp(context: Readonly<Record<string, unknown>> = {}): Templates {
  const outdir = mkdtempSync(join(tmpdir(), "table-loader-"));
  try {
    return synthesizeInto(outdir, { "aws:cdk:bundling-stacks": [], ...context });
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

/** As `cdk synth`, bundles included, into a folder that stays. */
export function synthesizeInto(outdir: string, context: Readonly<Record<string, unknown>> = {}): Templates {
  const assembly = tableLoaderApp({ outdir, context: { ...flags, ...context } }).synth();
  const template = (name: string) => assembly.tryGetArtifact(name) && assembly.getStackByName(name).template;
  return {
    pipeline: template("TableLoader") as CloudTemplate,
    database: (template("TableLoaderDatabase") ?? null) as CloudTemplate | null,
  };
}

export function resourcesOf(template: CloudTemplate, type: string): [string, CloudResource][] {
  return Object.entries(template.Resources).filter(([, resource]) => resource.Type === type);
}

/** The loader's own functions, by the name of their handler. */
export function loaderFunctions(template: CloudTemplate): Map<string, CloudResource> {
  const prefix = "Table Loader: ";
  const functions = resourcesOf(template, "AWS::Lambda::Function").map(([, resource]) => resource);
  const described = functions.map((resource) => [String(resource.Properties?.Description), resource] as const);
  return new Map(
    described
      .filter(([text]) => text.startsWith(prefix))
      .map(([text, resource]) => [text.slice(prefix.length), resource]),
  );
}

export type Statement = { readonly Effect: string; readonly Action: string[]; readonly Resource: unknown[] };

/** What the role of a function or of the machine is allowed and denied, by the id of its policy. */
export function statementsByPolicy(template: CloudTemplate): Map<string, Statement[]> {
  return new Map(resourcesOf(template, "AWS::IAM::Policy").map(([id, policy]) => [id, statementsOf(policy)]));
}

function statementsOf(policy: CloudResource): Statement[] {
  const document = policy.Properties?.PolicyDocument as { Statement: Record<string, unknown>[] } | undefined;
  return (document?.Statement ?? []).map(({ Effect, Action, Resource }) => ({
    Effect: String(Effect),
    Action: [Action].flat() as string[],
    Resource: [Resource].flat(),
  }));
}
