import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  alternatives,
  bill,
  gbSeconds,
  idleItems,
  loadSeconds,
  millionItems,
  type Prices,
  priceOf,
  readPrices,
  secondsOf,
  totalOf,
} from "../../bench/cost/bill.ts";
import { renderCost } from "../../bench/cost/page.ts";
import { countResources } from "../../bench/cost/stack-counts.ts";
import { renderScale } from "../../bench/scale/page.ts";
import type { Recording } from "../../bench/scale/recording.ts";
import type { ScaleResults } from "../../bench/scale/results.ts";

const read = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");
const results = JSON.parse(read("scale.json")) as ScaleResults;
const prices = await readPrices();
const one = (usd: number) => ({ usd, unit: "one", page: "https://a.example", read: null, of: null });
const few: Prices = { region: "r", date: "2026-01-01", prices: { cheap: one(0.000025), dear: one(3) } };

describe("the arithmetic", () => {
  test("a bill is how much times its price", () => {
    const items = bill(
      [
        { what: "a", quantity: 310, price: "cheap" },
        { what: "b", quantity: 2, price: "dear" },
      ],
      few,
    );
    expect(items.map(({ usd }) => usd)).toEqual([0.00775, 6]);
    expect(totalOf(items)).toBe(6.00775);
    expect(() => priceOf(few, "other")).toThrow("other");
  });

  test("GB-seconds are memory times time", () => {
    expect(gbSeconds("stage-fragments", 12)).toBe(6); // 512 MB
    expect(gbSeconds("start-load", 8)).toBe(2); // 256 MB
  });

  test("a function of 512 MB takes its processor time 1,769/512 times, and 0.1 s a request", () => {
    const requests = { get: 1, head: 2, put: 0, copy: 0, list: 1, delete: 0 };
    expect(secondsOf("sweep", { wall: 0.3, cpu: 0.1024, requests, logBytes: 0 })).toBeCloseTo(0.1976 + 0.3538 + 0.4, 9);
  });

  test("a phase is paid for by its worker, once more for each other one's start", () => {
    const line = (base: number, perFragment: number, perRecord: number) => ({ base, perFragment, perRecord });
    const none = line(0, 0, 0);
    const requests = { get: line(0, 1, 0), head: none, put: none, copy: none, list: none, delete: none };
    const stage = { wall: none, cpu: line(0.512, 0, 0), database: line(1, 0, 0.00001), logBytes: none, requests };
    const recording = { phases: { "stage-fragments": stage } } as unknown as Recording;
    const other = { ...stage, cpu: none, database: none, requests: { ...requests, get: none } };
    const all = { ...recording, phases: { "stage-fragments": stage, "validate-batch": other } } as unknown as Recording;
    // start 1.769 + 1, ten requests of 0.1, and 100,000 records of 10 µs
    expect(loadSeconds(all, "stage-fragments", 1)).toBeCloseTo(2.769 + 1 + 1, 9);
    expect(loadSeconds(all, "stage-fragments", 3)).toBeCloseTo(3 * 2.769 + 1 + 1, 9);
  });

  test("a Glue job of two DPU and two minutes, ten times", () => {
    expect(alternatives(prices)[0]?.million).toBeCloseTo((10 * 2 * 2 * 0.44) / 60, 9);
  });
});

describe("what stands idle", () => {
  const items = (stage: "dev" | "prod") => bill(idleItems(results, stage), prices);
  const usdOf = (stage: "dev" | "prod", what: string) => items(stage).find((item) => item.what === what)?.usd;

  test("is the database by its stage, twice where it has a standby", () => {
    expect(usdOf("dev", "RDS: db.t4g.medium")).toBeCloseTo(730 * 0.065, 6);
    expect(usdOf("prod", "RDS: db.m7g.large")).toBeCloseTo(2 * 730 * 0.168, 6);
    expect(usdOf("prod", "RDS: storage")).toBeCloseTo(2 * 100 * 0.115, 6);
  });

  test("is two endpoints in two zones, two keys, a secret, and 288 sweeps a day", () => {
    expect(usdOf("dev", "interface endpoints")).toBeCloseTo(4 * 730 * 0.01, 6);
    expect(usdOf("dev", "KMS key")).toBe(2);
    expect(usdOf("dev", "secrets")).toBe(0.4);
    expect(items("dev").find(({ what }) => what === "sweep: invocations")?.quantity).toBe(8_760);
  });

  test("is counted in the templates", () => {
    const counts = countResources([
      {
        Type: "AWS::RDS::DBInstance",
        Properties: { DBInstanceClass: "db.x", MultiAZ: true, AllocatedStorage: "7", ManageMasterUserPassword: true },
      },
      { Type: "AWS::EC2::VPCEndpoint", Properties: { VpcEndpointType: "Interface", SubnetIds: ["a", "b"] } },
      { Type: "AWS::EC2::VPCEndpoint", Properties: { VpcEndpointType: "Gateway" } },
      { Type: "AWS::CloudWatch::Alarm", Properties: { MetricName: "one" } },
      {
        Type: "AWS::CloudWatch::Alarm",
        Properties: { Metrics: [{ Expression: "a + b" }, { MetricStat: {} }, { MetricStat: {} }] },
      },
    ]);
    expect(counts).toMatchObject({
      instance: "db.x",
      instances: 2,
      storageGb: 7,
      endpoints: 2,
      secrets: 1,
      alarmMetrics: 3,
    });
  });
});

test("a million records: transitions, requests and arrivals by ten batches", () => {
  const items = new Map(millionItems(results).map(({ what, quantity }) => [what, quantity]));
  expect(items.get("Step Functions: transitions")).toBe(10 * results.priced.transitions);
  expect(items.get("EventBridge: events of S3")).toBe(110);
  expect(items.get("SQS: arrivals")).toBe(330);
});

describe("the pages", () => {
  test.each(["scale.md", "cost.md"])("%s is what the results say", (name) => {
    expect(existsSync(new URL(`../../docs/${name}`, import.meta.url))).toBe(true);
    expect(read(name)).toBe(name === "scale.md" ? renderScale(results) : renderCost(results, prices));
  });

  test("every price says where it is listed, and whether it was seen", () => {
    const entries = Object.entries(prices.prices);
    expect(entries.length).toBeGreaterThan(20);
    for (const [name, { read: seen }] of entries) {
      const row = read("cost.md")
        .split("\n")
        .find((line) => line.startsWith(`| \`${name}\``));
      expect(row).toContain(seen === null ? "not seen" : seen);
    }
  });
});
