import type { Node } from "constructs";
import { z } from "zod";
import { instanceClasses } from "./capacity.ts";
import { fileFaults } from "./context-files.ts";
import { misfits } from "./context-misfits.ts";

/** Values of `cdk.json` or `-c name=value`; from the command line they arrive as texts. */

const whole = (least: number, most = Number.MAX_SAFE_INTEGER) =>
  z.coerce.number("a whole number").int("a whole number").min(least).max(most);
const flag = z.union([z.boolean(), z.enum(["true", "false"]).transform((text) => text === "true")], "true or false");
const name63 = z.string().regex(/^[^\s"'\\]{1,63}$/, "1 to 63 characters without spaces and quotes");
const hostName = z.string().regex(/^[\w.:-]+$/, "a host name or an address, without scheme, user and port");
const secretArn = z
  .string()
  .regex(/^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+$/, "the whole ARN of a secret");
const awsId = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}-([0-9a-f]{8}|[0-9a-f]{17})$`), `an id like ${prefix}-0123456789abcdef0`);
const listOf = (item: z.ZodType<string, string>, like: string) =>
  z.union(
    [
      z.array(item).min(1),
      z
        .string()
        .transform((text) => text.split(","))
        .pipe(z.array(item)),
    ],
    `texts like ${like}, with commas between`,
  );
const idList = (prefix: string) => listOf(awsId(prefix), `${prefix}-0123456789abcdef0`);
const zone = z.string().regex(/^[a-z]{2}(-[a-z0-9]+)+[a-z]$/, "a zone like us-east-1a");

const names = z.strictObject({
  stage: z.enum(["dev", "prod"]).default("dev"),
  bucketName: z
    .string()
    .regex(/^(?!.*[.-]\.|.*\.-)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "3 to 63 of a-z, 0-9, dot and hyphen")
    .default("idhub-curated-fragments"),
  contractsFile: z.string().default("config/tables.json"),

  databaseHost: hostName.optional(),
  databasePort: whole(1, 65_535).default(5432),
  databaseName: name63.default("idhub"),
  databaseUser: name63.default("idhub_user"),
  databaseSecretArn: secretArn.optional(),
  databaseLoaderSecretArn: secretArn.optional(),
  databaseResourceId: z
    .string()
    .regex(/^(db|cluster|prx)-[A-Za-z0-9]+$/, "the resource id of an instance of RDS, like db-ABCDEFGHIJKL01234")
    .optional(),
  databaseTls: z.enum(["verify", "off"]).default("verify"),
  databaseCa: z.string().min(1, "rds, system, or the path of a PEM file").optional(),
  databaseInstance: z.enum(instanceClasses as [string, ...string[]]).optional(),
  maxConnections: whole(1).optional(),
  vpcId: awsId("vpc").optional(),
  subnetIds: idList("subnet").optional(),
  availabilityZones: listOf(zone, "us-east-1a").optional(),
  securityGroupId: awsId("sg").optional(),
  createEndpoints: flag.default(false),
  routeTableIds: idList("rtb").optional(),

  requireApproval: flag.default(true),
  maxRetries: whole(0).default(3),
  batchSize: whole(1).optional(),
  transactionTimeout: whole(1).optional(),
  maxRecordsPerBatch: whole(1).optional(),
  batchIdPattern: z.string().refine(isPattern, "a regular expression").optional(),
  undoRetentionDays: whole(1).optional(),
  auditRetentionDays: whole(1).optional(),
  logLevel: z.enum(["DEBUG", "INFO", "WARN", "ERROR"]).default("INFO"),
});

export type LoaderContext = z.infer<typeof names>;

/** Somebody has to change a value; where in the code it was noticed helps nobody. */
export class ContextError extends Error {
  override readonly name = "ContextError";
}

/** Names that the CDK's own commands put beside ours, without a separator in them. */
const foreign = ["cli-telemetry", "acknowledged-issue-numbers"];

/** Reads the context of an app, whatever is not the CDK's own, and the files that it names. */
export function readContext(node: Node): LoaderContext {
  const all = Object.entries(node.getAllContext() as Record<string, unknown>);
  return parseContext(Object.fromEntries(all.filter(([name]) => !/[:/@]/.test(name) && !foreign.includes(name))));
}

/** @throws ContextError that names everything that is wrong, what it was, what is allowed, and how to set it */
export function parseContext(given: unknown): LoaderContext {
  const parsed = names.safeParse(given);
  const issues = parsed.error?.issues ?? [];
  const wrong = new Set(issues.map((issue) => String(issue.path[0])));
  // What is left when the wrong values are gone may be wrong, too: nobody likes to be told of one fault at a time.
  const context = parsed.data ?? names.parse(without(given, wrong));
  const faults = [
    ...issues.map((issue) => issueFault(issue, given)),
    ...[...misfits(context), ...fileFaults(context)]
      .filter(({ about }) => !about.some((name) => wrong.has(name)))
      .map(({ text }) => text),
  ];
  if (faults.length === 1) throw new ContextError(`context: ${faults[0]}`);
  if (faults.length > 1) throw new ContextError(`context: ${faults.length} faults${faults.map(bullet).join("")}`);
  return context;
}

const bullet = (fault: string): string => `\n  - ${fault}`;

function without(given: unknown, wrong: ReadonlySet<string>): object {
  const known = Object.entries(given as object).filter(([name]) => name in names.shape && !wrong.has(name));
  return Object.fromEntries(known);
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) !== null;
  } catch {
    return false;
  }
}

function issueFault(issue: z.core.$ZodIssue, given: unknown): string {
  if (issue.code === "unrecognized_keys") {
    return `got the unknown name ${issue.keys.join(", ")}, allowed are ${Object.keys(names.shape).join(", ")}; correct or remove it`;
  }
  const name = String(issue.path[0] ?? "value");
  const got = withoutLogin(JSON.stringify((given as Record<string, unknown>)[name]));
  return `${name}, got ${got}, allowed is ${allowedBy(issue)}; set it with -c ${name}=... or in cdk.json`;
}

/** A URL where a host should be often has a password in it. */
function withoutLogin(text: string | undefined): string {
  return String(text).replace(/(\/\/|")[^/"]*@/, "$1...@");
}

function allowedBy(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_value") return issue.values.map(String).join(" or ");
  if (issue.code === "too_small" && issue.origin !== "string") return `${issue.minimum} or more`;
  return issue.code === "too_big" ? `${issue.maximum} or less` : issue.message;
}
