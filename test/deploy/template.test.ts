import { beforeAll, describe, expect, inject, test } from "vitest";
import type { CloudTemplate } from "../../lib/infra/synthesize-machine.ts";
import { existingDatabase, synthesizeApp } from "../infra/support/synthesize.ts";

/** What is deployed on the emulator is the stack that is deployed on AWS, with nothing left out and nothing put in. */

const deployed = inject("deployed");

/** Without the names that hold a hash of code and settings, and without what the CDK's command line notes for itself. */
function comparable(template: CloudTemplate): unknown {
  const resources = Object.entries(template.Resources).map(([id, { Metadata: _, ...resource }]) => [id, resource]);
  const text = JSON.stringify({ ...template, Resources: Object.fromEntries(resources) })
    .replaceAll(/[0-9a-f]{64}\.zip/g, "code.zip")
    .replaceAll(/(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}/g, "$1");
  return JSON.parse(text);
}

/** Everything that differs, by its path: `Resources.X.Properties.Y: "a" -> "b"`. */
function differences(left: unknown, right: unknown, path = ""): string[] {
  if (left === right) return [];
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) {
    return [`${path}: ${JSON.stringify(left)} -> ${JSON.stringify(right)}`];
  }
  const [before, after] = [left, right] as Record<string, unknown>[];
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
  return [...names].flatMap((name) =>
    differences(before?.[name], after?.[name], path === "" ? name : `${path}.${name}`),
  );
}

const otherNames = { databaseName: "usual", databaseLoaderSecretArn: `${existingDatabase.databaseSecretArn}2` };

describe("the deployed template", () => {
  let found: string[];
  beforeAll(() => {
    const usual = synthesizeApp({ ...existingDatabase, ...otherNames }).pipeline;
    found = differences(comparable(usual), comparable(JSON.parse(deployed.template)));
  });

  test("is that of an existing database, but for where the database is, and without TLS", () => {
    const value =
      /\.Environment\.Variables\.(DB_HOST|DB_PORT|DB_NAME|DB_USER|DB_TLS|DB_CA|DB_SECRET_ARN|DB_LOADER_SECRET_ARN): /;
    const secret = /\.PolicyDocument\.Statement\.\d+\.Resource(\.\d+)?: "arn:aws:secretsmanager:/;
    expect(found.filter((difference) => !value.test(difference) && !secret.test(difference))).toEqual([]);
    expect(found.some((difference) => difference.includes("DB_HOST"))).toBe(true);
  });
});
