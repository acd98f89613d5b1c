import { App } from "aws-cdk-lib";
import { describe, expect, test } from "vitest";
import { parseContext, readContext } from "../../lib/infra/context.ts";

describe("the context", () => {
  test("has a default for everything", () => {
    expect(parseContext({})).toMatchObject({
      stage: "dev",
      bucketName: "idhub-curated-fragments",
      requireApproval: true,
    });
  });

  test("takes the texts of the command line", () => {
    const given = { maxConnections: "200", requireApproval: "false" };
    expect(parseContext(given)).toMatchObject({ maxConnections: 200, requireApproval: false });
  });

  test("leaves the CDK's own names alone", () => {
    const context = { "@aws-cdk/core:checkSecretUsage": true, "aws:cdk:bundling-stacks": [], stage: "prod" };
    expect(readContext(new App({ context }).node).stage).toBe("prod");
  });

  test.each([
    [{ stage: "test" }, 'context: stage, got "test", allowed is dev or prod; set it with -c stage=...'],
    [{ databseHost: "x" }, "context: got the unknown name databseHost, allowed are stage, bucketName,"],
    [{ bucketName: "Über" }, 'bucketName, got "Über", allowed is 3 to 63 of a-z, 0-9, dot and hyphen'],
    [{ maxConnections: "many" }, 'maxConnections, got "many", allowed is a whole number'],
    [{ databasePort: 0 }, "databasePort, got 0, allowed is 1 or more"],
    [{ databaseHost: "db" }, "databaseHost and databaseSecretArn, got one of them"],
    [{ vpcId: "vpc-0a1b2c3d" }, "vpcId, got a value without databaseHost"],
    [
      { databaseHost: "db", databaseSecretArn: "arn:x", vpcId: "vpc-0a1b2c3d" },
      "vpcId, subnetIds and securityGroupId, got some",
    ],
    [{ subnetIds: "subnet-0a1b2c3d,x" }, 'subnetIds, got "subnet-0a1b2c3d,x", allowed is an id like subnet-'],
    [{ databaseTls: "off" }, "databaseTls, got off, expected verify"],
    [{ databaseInstance: "t2.nano" }, 'databaseInstance, got "t2.nano", allowed is t4g.small or'],
  ])("refuses %j and says why", (given, text) => {
    expect(() => parseContext(given)).toThrow(text);
  });

  test("names every fault at once", () => {
    expect(() => parseContext({ stage: "x", logLevel: "LOUD" })).toThrow(/stage, got.*logLevel, got/);
  });
});
