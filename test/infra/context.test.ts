import { App } from "aws-cdk-lib";
import { describe, expect, test } from "vitest";
import { ContextError, databaseAuthorities, parseContext, readContext } from "../../lib/infra/context.ts";
import { existingDatabase as existing } from "./support/synthesize.ts";

const secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:loader-AbCdEf";
const inVpc = { vpcId: "vpc-0a1b2c3d", subnetIds: "subnet-0a1b2c3d,subnet-1a2b3c4d" };
const zones = { availabilityZones: "us-east-1a,us-east-1b" };

describe("the context", () => {
  test("has a default for everything", () => {
    expect(parseContext({})).toMatchObject({
      stage: "dev",
      bucketName: "idhub-curated-fragments",
      requireApproval: true,
    });
  });

  test("takes the texts of the command line, and lists", () => {
    const given = { maxConnections: "200", requireApproval: "false", ...inVpc, ...zones };
    expect(parseContext(given)).toMatchObject({
      maxConnections: 200,
      requireApproval: false,
      subnetIds: ["subnet-0a1b2c3d", "subnet-1a2b3c4d"],
      availabilityZones: ["us-east-1a", "us-east-1b"],
    });
  });

  test("leaves the CDK's own names alone, and no others", () => {
    const own = { "@aws-cdk/core:checkSecretUsage": true, "aws:cdk:bundling-stacks": [], "cli-telemetry": false };
    expect(readContext(new App({ context: { ...own, stage: "prod" } }).node).stage).toBe("prod");
    for (const name of ["bucket-name", "bucket_name", "stage2"]) {
      const { node } = new App({ context: { ...own, [name]: "x" } });
      expect(() => readContext(node)).toThrow(`context: got the unknown name ${name}, allowed are stage, bucketName,`);
    }
  });

  test("trusts RDS by its own roots, and others by those of Node", () => {
    const authorities = (given: object) => databaseAuthorities(parseContext(given));
    expect(authorities({})).toBe("rds");
    expect(authorities(existing)).toBe("system");
    expect(authorities({ ...existing, databaseHost: "db.abc.us-east-1.rds.amazonaws.com" })).toBe("rds");
    expect(authorities({ ...existing, databaseCa: "rds" })).toBe("rds");
  });
});

describe("a value by itself", () => {
  test.each([
    [{ stage: "test" }, 'context: stage, got "test", allowed is dev or prod; set it with -c stage=...'],
    [{ databseHost: "x" }, "context: got the unknown name databseHost, allowed are stage, bucketName,"],
    [{ bucketName: "Über" }, 'bucketName, got "Über", allowed is 3 to 63 of a-z, 0-9, dot and hyphen'],
    [{ bucketName: "a..b" }, 'bucketName, got "a..b", allowed is'],
    [{ maxConnections: "many" }, 'maxConnections, got "many", allowed is a whole number'],
    [{ databasePort: 0 }, "databasePort, got 0, allowed is 1 or more"],
    [{ databasePort: "70000" }, 'databasePort, got "70000", allowed is 65535 or less'],
    [{ ...existing, databaseHost: "postgres://db:5432/x" }, "allowed is a host name or an address, without scheme"],
    [
      { ...existing, databaseSecretArn: "idhub" },
      'databaseSecretArn, got "idhub", allowed is the whole ARN of a secret',
    ],
    [{ ...existing, databaseResourceId: "my-db" }, 'databaseResourceId, got "my-db", allowed is the resource id of'],
    [{ subnetIds: "subnet-0a1b2c3d,x" }, 'subnetIds, got "subnet-0a1b2c3d,x", allowed is an id like subnet-'],
    [{ availabilityZones: "us-east-1" }, 'availabilityZones, got "us-east-1", allowed is a zone like us-east-1a'],
    [{ createEndpoints: "yes" }, 'createEndpoints, got "yes", allowed is true or false'],
    [{ databaseCa: "" }, 'databaseCa, got "", allowed is rds, system, or the path of a PEM file'],
    [{ databaseInstance: "t2.nano" }, 'databaseInstance, got "t2.nano", allowed is t4g.small or'],
    [{ batchIdPattern: "(" }, 'batchIdPattern, got "(", allowed is a regular expression'],
  ])("that is wrong is refused: %j", (given, text) => {
    expect(() => parseContext(given)).toThrow(text);
  });
});

describe("values that are wrong together", () => {
  test.each([
    [{ databaseHost: "db" }, "databaseHost and databaseSecretArn, got one of them"],
    [{ vpcId: "vpc-0a1b2c3d" }, "existing VPC for a new database, expected all of vpcId, subnetIds, availabilityZones"],
    [{ ...inVpc }, "or none; add availabilityZones"],
    [{ ...inVpc, availabilityZones: "us-east-1a" }, "availabilityZones, got 1 for 2 subnetIds; give the zone of each"],
    [{ ...inVpc, availabilityZones: "us-east-1a,us-east-1a" }, "got us-east-1a alone, expected two zones or more"],
    [{ ...inVpc, ...zones, securityGroupId: "sg-0a1b2c3d" }, "securityGroupId, got a value without databaseHost"],
    [{ ...existing, vpcId: "vpc-0a1b2c3d" }, "network of the existing database, expected all of vpcId, subnetIds,"],
    [{ ...existing, ...zones }, "availabilityZones, got a value with databaseHost; it is for a new database"],
    [{ ...existing, databaseInstance: "t4g.large" }, "databaseInstance, got a value with databaseHost"],
    [{ createEndpoints: true }, "createEndpoints, got true without vpcId"],
    [{ ...inVpc, ...zones, createEndpoints: true }, "routeTableIds, got none, expected those of the subnets"],
    [{ ...inVpc, ...zones, routeTableIds: "rtb-0a1b2c3d" }, "routeTableIds, got a value without createEndpoints"],
    [{ databaseLoaderSecretArn: secret }, "databaseLoaderSecretArn, got a value without databaseHost"],
    [
      { ...existing, databaseLoaderSecretArn: existing.databaseSecretArn },
      "databaseLoaderSecretArn, got the secret of databaseSecretArn",
    ],
    [
      { ...existing, databaseLoaderSecretArn: secret, databaseResourceId: "db-ABC" },
      "databaseLoaderSecretArn and databaseResourceId, got both",
    ],
    [{ databaseTls: "off" }, "databaseTls, got off, expected verify"],
    [{ ...existing, stage: "prod", databaseTls: "off" }, "databaseTls, got off, expected verify"],
    [{ ...existing, databaseTls: "off", databaseResourceId: "db-ABC" }, "IAM logs in over TLS alone"],
    [{ ...existing, databaseTls: "off", databaseCa: "rds" }, "databaseCa, got a value with databaseTls off"],
    [{ databaseCa: "system" }, "databaseCa, got system, expected rds"],
    [{ databaseName: "my-db" }, 'databaseName, got "my-db", expected a letter, then letters, digits and _'],
    [{ databaseUser: "postgres" }, 'databaseUser, got "postgres", expected a name of the loader\'s own'],
    [{ databasePort: 80 }, "databasePort, got 80, expected 1150 or more"],
    [{ maxConnections: 50 }, "capacity: reserved concurrency, got 49 connections, expected at most 40"],
    [{ ...existing, maxConnections: "20" }, "raise maxConnections on the server and in the context"],
  ])("are refused: %j", (given, text) => {
    expect(() => parseContext(given)).toThrow(text);
  });

  test.each<object>([
    { ...inVpc, ...zones },
    { ...inVpc, ...zones, createEndpoints: "true", routeTableIds: "rtb-0a1b2c3d" },
    { ...existing, ...inVpc, securityGroupId: "sg-0a1b2c3d" },
    { ...existing, databaseLoaderSecretArn: secret },
    { ...existing, databaseResourceId: "db-ABC" },
    { ...existing, databaseTls: "off" },
  ])("and those that are not are taken: %j", (given) => {
    expect(() => parseContext(given)).not.toThrow();
  });
});

describe("every fault at once", () => {
  const faultOf = (given: object): string => {
    try {
      parseContext(given);
    } catch (error) {
      expect(error).toBeInstanceOf(ContextError);
      return (error as Error).message;
    }
    return "";
  };

  test("is named: of values, of values together, of files, of names", () => {
    const message = faultOf({
      stage: "x",
      logLevel: "LOUD",
      contractsFile: "nowhere.json",
      databaseHost: "db",
      typo: 1,
      createEndpoints: "true",
    });
    expect(message).toMatch(/^context: 6 faults\n/);
    for (const beginning of [
      'stage, got "x"',
      'logLevel, got "LOUD"',
      "got the unknown name typo",
      "databaseHost and databaseSecretArn, got one of them",
      "createEndpoints, got true without vpcId",
      "contractsFile, got nowhere.json, which cannot be read",
    ]) {
      expect(message).toContain(`\n  - ${beginning}`);
    }
  });

  test("shows no password", () => {
    for (const databaseHost of ["postgres://idhub:canary-4711@db:5432/x", "idhub:canary-4711@db"])
      expect(faultOf({ ...existing, databaseHost })).toMatch(/^context: databaseHost, got "(postgres:\/\/)?\.\.\.@db/);
  });

  test("leaves out what follows from another one", () => {
    const message = faultOf({ databaseHost: "db.example.org", databaseSecretArn: "idhub" });
    expect(message).toMatch(/^context: databaseSecretArn, got "idhub"/);
    expect(message).not.toContain("got one of them");
  });
});
