import { describe, expect, test } from "vitest";
import {
  assertCapacity,
  connectionsInUse,
  functionSizes,
  instanceClasses,
  maxConnectionsOf,
} from "../../lib/infra/capacity.ts";
import { maxConnections, parseContext } from "../../lib/infra/context.ts";

describe("connections", () => {
  test("stay under 80 % of the server's, in each stage", () => {
    for (const stage of ["dev", "prod"])
      expect(() => assertCapacity(maxConnections(parseContext({ stage })))).not.toThrow();
    expect(() => assertCapacity(100)).not.toThrow();
  });

  test("are one per invocation, capped by reserved concurrency", () => {
    expect(connectionsInUse()).toBe(49);
    expect(functionSizes.sweep.connections).toBe(1);
    expect(functionSizes["start-load"].connections).toBeNull();
  });

  test("that would be too many are refused with numbers and the way out", () => {
    expect(() => assertCapacity(61)).toThrow("capacity: reserved concurrency, got 49 connections, expected at most 48");
    expect(() => assertCapacity(62)).not.toThrow();
  });

  test("that an instance class allows follow its memory", () => {
    expect(maxConnectionsOf("t4g.medium")).toBe(405);
    for (const name of instanceClasses) expect(maxConnectionsOf(name), name).toBeGreaterThan(100);
  });
});
