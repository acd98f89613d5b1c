import { describe, expect, test } from "vitest";
import { type CloudTemplate, resolveText } from "../../lib/infra/synthesize-machine.ts";
import { rolesOf } from "./support/policies.ts";
import { existingDatabase, loaderFunctions, resourcesOf, synthesizeApp, type Templates } from "./support/synthesize.ts";

/** Every way to deploy: new or existing database, own, existing or no VPC, each way to log in, in both stages. */

const loaderSecret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:loader-AbCdEf";
const vpc = { vpcId: "vpc-0a1b2c3d", subnetIds: "subnet-0a1b2c3d,subnet-1a2b3c4d" };
const endpoints = { createEndpoints: "true", routeTableIds: "rtb-0a1b2c3d" };
const zones = { availabilityZones: "us-east-1a,us-east-1b" };
const group = { securityGroupId: "sg-0a1b2c3d" };

type Expected = {
  /** Of VPC endpoints, in either stack. */
  readonly endpoints: number;
  /** How migrate, and how every other function with a connection logs in. */
  readonly login: "iam" | "administrator" | "loader";
  readonly authorities: "bundled" | undefined;
};

const ways: Readonly<Record<string, readonly [context: Record<string, string>, expected: Expected]>> = {
  "a new database": [{}, { endpoints: 3, login: "iam", authorities: "bundled" }],
  "a new database in an existing VPC": [
    { ...vpc, ...zones },
    { endpoints: 0, login: "iam", authorities: "bundled" },
  ],
  "a new database in an existing VPC, with endpoints": [
    { ...vpc, ...zones, ...endpoints },
    { endpoints: 3, login: "iam", authorities: "bundled" },
  ],
  "an existing database": [existingDatabase, { endpoints: 0, login: "administrator", authorities: undefined }],
  "an existing database in a VPC, with endpoints": [
    { ...existingDatabase, ...vpc, ...group, ...endpoints },
    { endpoints: 3, login: "administrator", authorities: undefined },
  ],
  "an existing database in a VPC, with a secret of the loader's": [
    { ...existingDatabase, ...vpc, ...group, databaseLoaderSecretArn: loaderSecret, databaseCa: "rds" },
    { endpoints: 0, login: "loader", authorities: "bundled" },
  ],
  "an existing database of RDS, with IAM": [
    { ...existingDatabase, databaseHost: "db.abc.us-east-1.rds.amazonaws.com", databaseResourceId: "db-ABC" },
    { endpoints: 0, login: "iam", authorities: "bundled" },
  ],
};

const cases = Object.entries(ways).flatMap(([name, [context, expected]]) =>
  ["dev", "prod"].map((stage) => [stage, name, { stage, ...context }, expected] as const),
);

const templatesOf = ({ pipeline, database }: Templates): CloudTemplate[] => [pipeline, ...(database ? [database] : [])];

/** Types that take no tags, or whose resources only CloudFormation tags. */
const untagged =
  /^(Custom::|AWS::IAM::Policy$|AWS::Lambda::(Alias|Permission|Version)$|AWS::(S3|SNS|SQS)::\w+Policy$|AWS::EC2::(SecurityGroup(In|E)gress|SubnetRouteTableAssociation)$)/;

function expectKept(template: CloudTemplate): void {
  const groups = new Map(resourcesOf(template, "AWS::Logs::LogGroup"));
  for (const [id, { Properties }] of groups) expect(Properties?.RetentionInDays, id).toBeGreaterThan(0);
  for (const [id, { Properties }] of resourcesOf(template, "AWS::Lambda::Function")) {
    const logs = Properties?.LoggingConfig as { LogGroup: { Ref: string } } | undefined;
    expect([...groups.keys()], `${id} logs to a group that ends`).toContain(logs?.LogGroup.Ref);
  }
}

function expectTagged(template: CloudTemplate, stage: string): void {
  for (const [id, { Type, Properties }] of Object.entries(template.Resources)) {
    // The functions and roles behind the CDK's own custom resources; the stack's tags reach them.
    if (untagged.test(Type) || id.includes("CustomResourceProvider")) continue;
    const tags = Array.isArray(Properties?.Tags)
      ? Object.fromEntries((Properties.Tags as { Key: string; Value: string }[]).map(({ Key, Value }) => [Key, Value]))
      : Properties?.Tags;
    expect(tags, `${Type} ${id}`).toMatchObject({ application: "table-loader", stage });
  }
}

function environmentOf(pipeline: CloudTemplate, handler: string): Record<string, unknown> {
  const environment = loaderFunctions(pipeline).get(handler)?.Properties?.Environment;
  return (environment as { Variables: Record<string, unknown> } | undefined)?.Variables ?? {};
}

function expectLogin(pipeline: CloudTemplate, expected: Expected): void {
  const migrate = environmentOf(pipeline, "migrate");
  expect(migrate).toMatchObject({ DB_AUTH: "secret", DB_SECRET_ARN: expect.anything() });
  expect(migrate.DB_LOADER_SECRET_ARN).toBe(expected.login === "loader" ? loaderSecret : undefined);
  expect(migrate.DB_LOADER_ROLE).toBe(expected.login === "iam" ? "idhub_user" : undefined);
  const secret = { iam: undefined, administrator: existingDatabase.databaseSecretArn, loader: loaderSecret };
  for (const handler of ["validate-batch", "stage-fragments", "commit-batch", "sweep", "operate"]) {
    const environment = environmentOf(pipeline, handler);
    expect(environment.DB_AUTH, handler).toBe(expected.login === "iam" ? "iam" : "secret");
    expect(environment.DB_SECRET_ARN, handler).toBe(secret[expected.login]);
    expect(environment.DB_CA, handler).toBe(expected.authorities);
    expect(environment.NODE_EXTRA_CA_CERTS, handler).toBeUndefined();
  }
}

/** Of the secrets, the ones that each role may read. */
function secretsByRole(pipeline: CloudTemplate): Map<string, string[]> {
  const handlers = rolesOf(pipeline).filter(({ id }) => id.startsWith("Functions"));
  const reads = handlers.map(({ id, statements }) => {
    const allowed = statements.filter(({ Action }) => Action.includes("secretsmanager:GetSecretValue"));
    const name = id.replace(/^Functions|Role[0-9A-F]{8}$/g, "");
    return [name, allowed.flatMap(({ Resource }) => Resource.map((one) => JSON.stringify(one)))] as const;
  });
  return new Map(reads.filter(([, secrets]) => secrets.length > 0));
}

describe.each(cases)("stage %s, %s", (stage, _, context, expected) => {
  // Synthesis throws on every finding of cdk-nag that nobody acknowledged.
  test("is free of findings, keeps no log for ever, has tags, and logs in as it should", () => {
    const templates = synthesizeApp(context);
    for (const template of templatesOf(templates)) {
      expectKept(template);
      expectTagged(template, stage);
    }
    const made = templatesOf(templates).flatMap((template) => resourcesOf(template, "AWS::EC2::VPCEndpoint"));
    expect(made).toHaveLength(expected.endpoints);
    expectLogin(templates.pipeline, expected);
    const secrets = secretsByRole(templates.pipeline);
    if (expected.login === "iam") expect([...secrets.keys()]).toEqual(["Migrate"]);
    if (expected.login !== "loader") return;
    for (const [role, read] of secrets) {
      const others = role === "Migrate" ? [JSON.stringify(existingDatabase.databaseSecretArn)] : [];
      expect(read.toSorted(), role).toEqual([...others, JSON.stringify(loaderSecret)].toSorted());
    }
  });
});

describe("a new database in an existing VPC", () => {
  test("sits in the subnets that are named, as the functions do, behind security groups of its own", () => {
    const { database, pipeline } = synthesizeApp({ ...vpc, ...zones, ...endpoints });
    const template = database as CloudTemplate;
    expect(resourcesOf(template, "AWS::EC2::VPC")).toEqual([]);
    const subnets = ["subnet-0a1b2c3d", "subnet-1a2b3c4d"];
    const only = (type: string) => resourcesOf(template, type).map(([, { Properties }]) => Properties)[0];
    expect(only("AWS::RDS::DBSubnetGroup")?.SubnetIds).toEqual(subnets);
    expect(only("AWS::RDS::DBInstance")?.PubliclyAccessible).toBe(false);
    const network = loaderFunctions(pipeline).get("commit-batch")?.Properties?.VpcConfig as { SubnetIds: string[] };
    expect(network.SubnetIds).toEqual(subnets);
    for (const [id, { Properties }] of resourcesOf(template, "AWS::EC2::SecurityGroup"))
      expect(Properties?.VpcId, id).toBe("vpc-0a1b2c3d");
    const made = resourcesOf(template, "AWS::EC2::VPCEndpoint").map(([, { Properties }]) => Properties);
    expect(made.find((endpoint) => endpoint?.VpcEndpointType === "Gateway")).toMatchObject({
      RouteTableIds: ["rtb-0a1b2c3d"],
      VpcId: "vpc-0a1b2c3d",
    });
    for (const endpoint of made.filter((one) => one?.VpcEndpointType === "Interface"))
      expect(endpoint).toMatchObject({ SubnetIds: subnets, PrivateDnsEnabled: true });
  });

  test("lets nobody but the functions reach its port", () => {
    const { database } = synthesizeApp({ ...vpc, ...zones });
    const template = database as CloudTemplate;
    const rules = resourcesOf(template, "AWS::EC2::SecurityGroupIngress").map(([, { Properties }]) => Properties);
    expect(rules).toHaveLength(1);
    expect(rules[0]).toMatchObject({ FromPort: 5432, ToPort: 5432, SourceSecurityGroupId: expect.anything() });
    expect(resolveText(template, rules[0]?.SourceSecurityGroupId)).toMatch(/^Functions/);
  });
});
