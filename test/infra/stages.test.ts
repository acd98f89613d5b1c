import { describe, expect, test } from "vitest";
import type { CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import { existingDatabase, loaderFunctions, resourcesOf, synthesizeApp } from "./support/synthesize.ts";

const only = (template: CloudTemplate | null, type: string) =>
  resourcesOf(template as CloudTemplate, type).map(([, resource]) => resource)[0];

/** Synthesis throws on every finding of cdk-nag that nobody acknowledged. */
describe("the app is free of unacknowledged findings", () => {
  test("in stage dev, with a small database of its own", () => {
    const { database } = synthesizeApp({ stage: "dev" });
    expect(only(database, "AWS::RDS::DBInstance")?.Properties).toMatchObject({
      MultiAZ: false,
      StorageEncrypted: true,
      DeletionProtection: true,
      EnableIAMDatabaseAuthentication: true,
      ManageMasterUserPassword: true,
      PubliclyAccessible: false,
    });
    expect(only(database, "AWS::RDS::DBParameterGroup")?.Properties).toMatchObject({
      Family: "postgres18",
      Parameters: { "rds.force_ssl": "1" },
    });
    expect(resourcesOf(database as CloudTemplate, "AWS::EC2::NatGateway")).toEqual([]);
    expect(resourcesOf(database as CloudTemplate, "AWS::EC2::InternetGateway")).toEqual([]);
    expect(resourcesOf(database as CloudTemplate, "AWS::EC2::VPCEndpoint")).toHaveLength(3);
  });

  test("in stage prod, with a standby and logs for a year", () => {
    const { database, pipeline } = synthesizeApp({ stage: "prod" });
    expect(only(database, "AWS::RDS::DBInstance")?.Properties).toMatchObject({
      MultiAZ: true,
      BackupRetentionPeriod: 30,
    });
    const groups = resourcesOf(pipeline, "AWS::Logs::LogGroup").filter(([id]) => id.startsWith("Functions"));
    for (const [id, { Properties }] of groups) expect(Properties?.RetentionInDays, id).toBe(365);
  });

  test("with an existing database, outside any network", () => {
    const { database, pipeline } = synthesizeApp(existingDatabase);
    expect(database).toBeNull();
    const environment = loaderFunctions(pipeline).get("commit-batch")?.Properties?.Environment;
    expect(environment).toMatchObject({
      Variables: { DB_HOST: "db.example.org", DB_AUTH: "secret", DB_TLS: "verify" },
    });
    expect(loaderFunctions(pipeline).get("commit-batch")?.Properties?.VpcConfig).toBeUndefined();
  });

  test("with an existing database and its network", () => {
    const network = {
      vpcId: "vpc-0a1b2c3d",
      subnetIds: "subnet-0a1b2c3d,subnet-1a2b3c4d",
      securityGroupId: "sg-0a1b2c3d",
    };
    const { pipeline } = synthesizeApp({ ...existingDatabase, ...network });
    expect(loaderFunctions(pipeline).get("commit-batch")?.Properties?.VpcConfig).toEqual({
      SecurityGroupIds: ["sg-0a1b2c3d"],
      SubnetIds: ["subnet-0a1b2c3d", "subnet-1a2b3c4d"],
    });
    expect(loaderFunctions(pipeline).get("start-load")?.Properties?.VpcConfig).toBeUndefined();
  });

  test("settings of the context reach the functions", () => {
    const { pipeline } = synthesizeApp({ requireApproval: "false", batchSize: "500", bucketName: "my-fragments" });
    const environment = loaderFunctions(pipeline).get("validate-batch")?.Properties?.Environment;
    expect(environment).toMatchObject({ Variables: { REQUIRE_APPROVAL: "false", BATCH_SIZE: "500" } });
  });
});

test("a server that is too small for the reserved concurrency is refused", () => {
  expect(() => synthesizeApp({ maxConnections: 50 })).toThrow(
    /got 49 connections, expected at most 40 .*raise maxConnections/,
  );
});
