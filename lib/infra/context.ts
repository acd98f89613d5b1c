import type { Node } from "constructs";
import { z } from "zod";
import { instanceClasses, maxConnectionsOf } from "./capacity.ts";

/** Values of `cdk.json` or `-c name=value`; from the command line they arrive as texts. */

const whole = (least: number) => z.coerce.number("a whole number").int("a whole number").min(least);
const flag = z.union([z.boolean(), z.enum(["true", "false"]).transform((text) => text === "true")], "true or false");
const awsId = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}-([0-9a-f]{8}|[0-9a-f]{17})$`), `an id like ${prefix}-0123456789abcdef0`);
const idList = (prefix: string) =>
  z.union(
    [
      z.array(awsId(prefix)),
      z
        .string()
        .transform((text) => text.split(","))
        .pipe(z.array(awsId(prefix))),
    ],
    `ids like ${prefix}-0123456789abcdef0, with commas between`,
  );

const names = z.strictObject({
  stage: z.enum(["dev", "prod"]).default("dev"),
  bucketName: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "3 to 63 of a-z, 0-9, dot and hyphen")
    .default("idhub-curated-fragments"),
  contractsFile: z.string().default("config/tables.json"),

  databaseHost: z.string().optional(),
  databasePort: whole(1).default(5432),
  databaseName: z.string().default("idhub"),
  databaseUser: z.string().default("idhub_user"),
  databaseSecretArn: z.string().startsWith("arn:", "an ARN of Secrets Manager").optional(),
  databaseTls: z.enum(["verify", "off"]).default("verify"),
  databaseInstance: z.enum(instanceClasses as [string, ...string[]]).optional(),
  maxConnections: whole(1).optional(),
  vpcId: awsId("vpc").optional(),
  subnetIds: idList("subnet").optional(),
  securityGroupId: awsId("sg").optional(),

  requireApproval: flag.default(true),
  maxRetries: whole(0).default(3),
  batchSize: whole(1).optional(),
  transactionTimeout: whole(1).optional(),
  maxRecordsPerBatch: whole(1).optional(),
  batchIdPattern: z.string().optional(),
  undoRetentionDays: whole(1).optional(),
  auditRetentionDays: whole(1).optional(),
  logLevel: z.enum(["DEBUG", "INFO", "WARN", "ERROR"]).default("INFO"),
});

export type LoaderContext = z.infer<typeof names>;

/** Reads the context of an app. Names of the CDK itself hold a separator; any other name has to be ours. */
export function readContext(node: Node): LoaderContext {
  const all = Object.entries(node.getAllContext() as Record<string, unknown>);
  return parseContext(Object.fromEntries(all.filter(([name]) => /^[A-Za-z]+$/.test(name))));
}

/** @throws Error that names every value that is wrong, what it was, what is allowed, and how to set it */
export function parseContext(given: unknown): LoaderContext {
  const parsed = names.safeParse(given);
  if (!parsed.success)
    throw new Error(`context: ${parsed.error.issues.map((issue) => fault(issue, given)).join("; ")}`);
  const misfit = misfits(parsed.data);
  if (misfit !== null) throw new Error(`context: ${misfit}`);
  return parsed.data;
}

export function maxConnections(context: LoaderContext): number {
  // PostgreSQL's own default, where nobody said what an existing server allows.
  const unsaid = context.databaseHost === undefined ? maxConnectionsOf(databaseInstance(context)) : 100;
  return context.maxConnections ?? unsaid;
}

export function databaseInstance(context: LoaderContext): string {
  return context.databaseInstance ?? (context.stage === "prod" ? "m7g.large" : "t4g.medium");
}

/** Values that are each allowed but not together. */
function misfits(context: LoaderContext): string | null {
  const existing = context.databaseHost !== undefined;
  if (existing !== (context.databaseSecretArn !== undefined)) {
    return "databaseHost and databaseSecretArn, got one of them, expected both (an existing database) or none (a new one)";
  }
  if (!existing && context.vpcId !== undefined) {
    return "vpcId, got a value without databaseHost; a new database brings its own network, so leave vpcId out";
  }
  const network = [context.vpcId, context.subnetIds, context.securityGroupId].filter((part) => part !== undefined);
  if (network.length % 3 !== 0) {
    return "vpcId, subnetIds and securityGroupId, got some of them, expected all three or none; add what is missing";
  }
  if (context.databaseTls === "off" && (context.stage === "prod" || !existing)) {
    return "databaseTls, got off, expected verify; off is for an existing database in stage dev";
  }
  return null;
}

function fault(issue: z.core.$ZodIssue, given: unknown): string {
  if (issue.code === "unrecognized_keys") {
    return `got the unknown name ${issue.keys.join(", ")}, allowed are ${Object.keys(names.shape).join(", ")}; correct or remove it`;
  }
  const name = String(issue.path[0] ?? "value");
  const got = JSON.stringify((given as Record<string, unknown>)[name]);
  return `${name}, got ${got}, allowed is ${allowedBy(issue)}; set it with -c ${name}=... or in cdk.json`;
}

function allowedBy(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_value") return issue.values.map(String).join(" or ");
  return issue.code === "too_small" ? `${issue.minimum} or more` : issue.message;
}
