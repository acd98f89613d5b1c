import { rm } from "node:fs/promises";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { forceMetrics } from "../../lib/aws/measures.ts";
import { overrideEnvironment } from "../../lib/config.ts";
import { metricCatalog } from "../../lib/core/metrics.ts";
import { openPostgres } from "../../lib/local/postgres.ts";
import { makeTemporaryDirectory } from "../../lib/local/postgres-process.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import { synthesizeApp } from "../infra/support/synthesize.ts";
import { buryTheDead } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { isRaised, type Period } from "./cloud-watch.ts";
import { keyOf, type Point, recordPoints } from "./emf.ts";
import { type Alarm, alarmsOf, dashboardOf, type MetricId, metricsOfAlarm, metricsOfWidget } from "./template.ts";
import { faults, healthyRun, namesOf, recordRun, withMemory } from "./world.ts";

/**
 * What alarms and dashboard of the synthesized template read is what real runs emit: same names, same dimensions. Every
 * alarm is raised by its fault, and none by healthy runs.
 */

let flow: Flow;
let alarms: readonly Alarm[];
let read: readonly MetricId[];
const healthy: Period[] = [];
const faulty: Record<string, Period[]> = {};

const foreign = (): MetricId[] => read.filter(({ namespace }) => namespace !== "TableLoader");

beforeAll(async () => {
  const { pipeline } = synthesizeApp();
  alarms = alarmsOf(pipeline);
  const used = [...alarms.flatMap(metricsOfAlarm), ...dashboardOf(pipeline).widgets.flatMap(metricsOfWidget)];
  read = [...new Map(used.map((metric) => [keyOf(metric), metric])).values()];
  flow = await openFlow({ load: withMemory });
  forceMetrics(true);
  for (let n = 0; n < 3; n += 1) healthy.push(await recordRun(flow, foreign(), () => healthyRun(flow)));
  for (const [name, breakIt] of Object.entries(faults)) {
    onCrashPoint(() => undefined);
    faulty[name] = [[], [], await recordRun(flow, foreign(), () => breakIt(flow))];
  }
  onCrashPoint(() => undefined);
  faulty["DatabaseConnections"] = await crowdedServer();
}, 240_000);
afterAll(async () => {
  forceMetrics(false);
  buryTheDead();
  await flow?.close();
});

/** A server of its own: first nearly all of its connections are taken, then all. */
async function crowdedServer(): Promise<Period[]> {
  const dataDir = await makeTemporaryDirectory();
  const server = await openPostgres({ dataDir, parameters: { fsync: "off" } });
  const { host, port, user, password, database } = server;
  const crowd = postgres({ host, port, user, password, database, max: 60, onnotice: () => undefined });
  const hold = (count: number) => Promise.all(Array.from({ length: count }, () => crowd.reserve()));
  const own = { DB_HOST: host, DB_PORT: String(port), DB_NAME: database, DB_USER: user, DB_PASSWORD: password };
  overrideEnvironment(own);
  try {
    await recordPoints(() => flow.invoke("migrate"));
    await hold(55);
    const crowded = await recordRun(flow, foreign(), () => flow.invoke("sweep"));
    await hold(2);
    const full = await recordRun(flow, foreign(), () => flow.invoke("sweep").catch(() => undefined));
    return [crowded, full];
  } finally {
    overrideEnvironment(flow.database.variables);
    await crowd.end({ timeout: 0 });
    await server.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

const everything = (): Point[] => [...healthy, ...Object.values(faulty).flat()].flat();
const emitted = (): Point[] => everything().filter(({ namespace }) => namespace === "TableLoader");

describe("what is emitted", () => {
  test("is every metric that an alarm or a chart reads, with exactly those dimensions", () => {
    const keys = new Set(emitted().map(keyOf));
    const own = read.filter(({ namespace }) => namespace === "TableLoader");
    expect(own.length).toBeGreaterThan(40);
    expect(own.map(keyOf).filter((key) => !keys.has(key))).toEqual([]);
  });

  test("or one that a service of AWS counts itself", () => {
    expect([...new Set(foreign().map(({ namespace, name }) => `${namespace} ${name}`))].toSorted()).toEqual([
      "AWS/SQS ApproximateAgeOfOldestMessage",
      "AWS/SQS ApproximateNumberOfMessagesVisible",
      ...["Aborted", "Failed", "Started", "Succeeded", "TimedOut"].map((end) => `AWS/States Executions${end}`),
    ]);
  });

  test("is in the list, with its unit and its dimensions, and a number", () => {
    const catalog: Readonly<Record<string, { readonly unit: string; readonly by: string }>> = metricCatalog;
    for (const { name, unit, dimensions, value } of emitted()) {
      expect({ name, unit, by: Object.keys(dimensions).toSorted() }).toEqual({
        name,
        unit: catalog[name]?.unit,
        by: catalog[name]?.by === "task" ? ["service", "task"] : ["service"],
      });
      expect(value, name).toBeGreaterThanOrEqual(0);
    }
  });

  test("says of healthy runs what happened in them", () => {
    const total = (name: string): number =>
      healthy.flat().reduce((sum, point) => (point.name === name ? sum + point.value : sum), 0);
    const most = (name: string): number =>
      Math.max(...healthy.flat().flatMap((point) => (point.name === name ? [point.value] : [])));
    expect(total("BatchesLoaded")).toBe(3);
    expect(total("RecordsInserted")).toBe(18);
    expect(total("StagedRecords")).toBe(18);
    expect(total("Retries")).toBe(3);
    expect(total("Sweeps")).toBe(3);
    expect(most("BatchesWaiting")).toBe(3);
    expect(most("ConnectionsUsed")).toBeGreaterThan(0);
  });
});

describe("an alarm", () => {
  test("has its fault here", () => {
    expect(Object.keys(faulty).toSorted()).toEqual(namesOf(alarms));
  });

  test("is raised by no healthy run", () => {
    const rounds = healthy.map((_, index) => [...healthy, ...healthy].slice(index, index + healthy.length));
    expect(rounds.map((round) => namesOf(alarms.filter((alarm) => isRaised(alarm, round))))).toEqual([[], [], []]);
  });

  test.each([...Object.keys(faults), "DatabaseConnections"])("%s is raised by its fault", (name) => {
    const alarm = alarms.find((one) => one.name === name) as Alarm;
    expect(isRaised(alarm, faulty[name] ?? [])).toBe(true);
  });

  test("on connections is raised by a crowded server, and by one that lets nobody in", () => {
    const alarm = alarms.find(({ name }) => name === "DatabaseConnections") as Alarm;
    const [crowded = [], full = []] = faulty["DatabaseConnections"] ?? [];
    expect([isRaised(alarm, [crowded]), isRaised(alarm, [full])]).toEqual([true, true]);
    expect(full.filter(({ name }) => name === "ConnectionsUsed").map(({ value }) => value)).toEqual([100]);
  });
});

test("a deadlock is counted by the next sweep, once", async () => {
  const [one, other] = [flow.database.connect({ max: 1 }), flow.database.connect({ max: 1 })];
  await flow.sql`create table crossing (id int primary key, n int)`;
  await flow.sql`insert into crossing values (1, 0), (2, 0)`;
  const [first, second] = await Promise.all([one.reserve(), other.reserve()]);
  for (const [sql, id] of [[first, 1] as const, [second, 2] as const]) {
    await sql`begin`;
    await sql`update crossing set n = 1 where id = ${id}`;
  }
  const ended = await Promise.allSettled([
    first`update crossing set n = 2 where id = 2`,
    second`update crossing set n = 2 where id = 1`,
  ]);
  expect(ended.filter(({ status }) => status === "rejected")).toHaveLength(1);
  await Promise.all([first`rollback`, second`rollback`]);
  const counts = async (): Promise<number[]> => {
    const points = await recordRun(flow, [], () => flow.invoke("sweep"));
    return points.flatMap(({ name, value }) => (name === "Deadlocks" ? [value] : []));
  };
  expect([await counts(), await counts()]).toEqual([[1], [0]]);
});
