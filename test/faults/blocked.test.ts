import { setTimeout as pause } from "node:timers/promises";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { attemptsOf, ledgerOf, sampleLoaded, stageSample, type TestBatch } from "../support/batches.ts";
import { testerName } from "../support/database.ts";
import { expectInvariants } from "./lab/invariants.ts";
import { type Lab, openLab } from "./lab/lab.ts";

/**
 * The environment's faults last for an hour, in rounds of the machine instead of minutes: 30 s, doubling to 10 min,
 * makes ten rounds an hour. Meanwhile batches go on arriving.
 */

const roundsOfAnHour = 10;

let lab: Lab;
beforeAll(async () => {
  lab = await openLab({ pauses: { waitMilliseconds: 150, retryMilliseconds: 20 } });
});
afterAll(() => lab.close());
afterEach(() => lab.network.heal());

type Outage = {
  readonly name: string;
  readonly code: string;
  readonly begin: () => Promise<void>;
  readonly end: () => Promise<void>;
};

async function asAdmin(statement: string): Promise<void> {
  const url = new URL(lab.database.server.adminUrl);
  url.pathname = `/${lab.database.name}`;
  const admin = postgres(url.href, { max: 1, onnotice: () => {}, connection: { application_name: testerName } });
  await admin.unsafe(statement);
  await admin.end();
}

const userOf = (): string => lab.database.server.user;

const outages: Outage[] = [
  {
    name: "D7 D01 the database away",
    code: "DB_UNAVAILABLE",
    begin: () => lab.loseDatabase("stop"),
    end: () => lab.restoreDatabase(),
  },
  {
    name: "D7 D11 the secret rotated, and the functions have the old one",
    code: "DB_AUTH",
    begin: () => asAdmin(`alter role ${userOf()} password 'another one'`),
    end: () => asAdmin(`alter role ${userOf()} password '${lab.database.server.password}'`),
  },
  {
    name: "D7 D11 a permission revoked",
    code: "DB_PERMISSION",
    begin: () => asAdmin(`revoke insert on blood from ${userOf()}`),
    end: () => asAdmin(`grant insert on blood to ${userOf()}`),
  },
  {
    name: "D7 D09 the disk full",
    code: "DB_DISK_FULL",
    begin: () =>
      asAdmin(`
        create function no_room() returns trigger language plpgsql as
          $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$;
        create trigger no_room before insert on blood for each statement execute function no_room()`),
    end: () => asAdmin("drop function no_room() cascade"),
  },
  {
    name: "D7 S02 S3 denied",
    code: "S3_ACCESS",
    begin: async () => void lab.network.s3.on({ when: () => true, answer: { status: 403, code: "AccessDenied" } }),
    end: () => lab.network.heal(),
  },
  {
    name: "D7 S02 S3 that asks to slow down for an hour",
    code: "S3_THROTTLED",
    begin: async () => void lab.network.s3.on({ when: () => true, answer: { status: 503, code: "SlowDown" } }),
    end: () => lab.network.heal(),
  },
];

test.each(outages)("$name: blocked and told why, nothing fails, all loads by itself afterwards", async (outage) => {
  const batches = [await stageSample(lab), await stageSample(lab)];
  await outage.begin();
  const noticed = lab.notices.length;
  const entered = lab.steps.length;
  const arriving = lab.arrivals();
  await until(() => {
    const rounds = lab.steps.slice(entered).filter(({ state, type }) => state === "BlockedWait" && type === "entered");
    return rounds.length >= batches.length * roundsOfAnHour;
  });
  expect(await lab.current("failed/")).toEqual([]);
  expect(await deadLetters()).toBe(0);
  await outage.end();

  const { runs } = await arriving;
  expect(runs.map(({ status }) => status)).toEqual(["SUCCEEDED", "SUCCEEDED"]);
  const told = lab.notices.slice(noticed).filter(({ state }) => state === "NotifyBlocked");
  expect(told).toHaveLength(batches.length);
  for (const { message } of told) expect(message).toContain(outage.code);
  for (const batch of batches) await expectLoaded(batch);
  await lab.quiet();
  await expectInvariants(lab);
});

async function expectLoaded(batch: TestBatch): Promise<void> {
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await ledgerOf(lab, batch)).toMatchObject({ state: "loaded", attempt: 1, reason_code: null });
  expect(await attemptsOf(lab, batch)).toContain("loaded");
  expect(await lab.current(`failed/${batch.id}/`)).toEqual([]);
}

async function deadLetters(): Promise<number> {
  const { deadLetters: queue } = lab.bucket;
  const answer = await lab.bucket.sqs("ReceiveMessage", { QueueUrl: queue.url, WaitTimeSeconds: 0 });
  return (answer as { Messages?: unknown[] }).Messages?.length ?? 0;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(20);
}
