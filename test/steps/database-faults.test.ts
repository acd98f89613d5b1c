import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { overrideEnvironment } from "../../lib/config.ts";
import { grantLoader } from "../../lib/ledger/loader-role.ts";
import { loadFunction } from "../../lib/local/lambda.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import { attemptsOf, ledgerOf, newBatch, sampleLoaded, stageSample, type TestBatch } from "../support/batches.ts";
import { type Flow, openFlow, type RunResult } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";

/** The loader has a role of its own, so that what is broken for it is broken for nobody else. */

const role = `loader_${randomBytes(4).toString("hex")}`;
const password = randomBytes(12).toString("hex");
let flow: Flow;
let admin: postgres.Sql;

type Seen = { readonly name: string; readonly code: string; readonly message: string };
/** What the invocations ended with, as far as they failed. */
let seen: Seen[] = [];
let before: () => Promise<unknown> = async () => {};

beforeAll(async () => {
  flow = await openFlow({
    contracts: JSON.stringify({
      tables: {
        subject: { natural_key: ["global_subject_id"] },
        blood: { natural_key: ["sample_id"] },
        wide: { natural_key: ["k"] },
      },
    }),
    variables: { DB_USER: role, DB_PASSWORD: password },
    load: async (name) => {
      const loaded = await loadFunction(name);
      const handler: typeof loaded.handler = async (event, context) => {
        await before();
        try {
          return await loaded.handler(event, context);
        } catch (error) {
          const { name: kind, code, message } = error as Seen;
          seen.push({ name: kind, code, message });
          throw error;
        }
      };
      return { ...loaded, handler };
    },
  });
  admin = postgres(flow.database.server.adminUrl, { database: flow.database.name, max: 1, onnotice: () => {} });
  await flow.sql.unsafe("create table wide (k text primary key, t text)");
  await grantLoader(admin, { role, schema: "public" });
  await admin.unsafe(`alter role ${role} password '${password}'`);
});

afterEach(() => {
  onCrashPoint(() => undefined);
  before = async () => {};
  seen = [];
});

afterAll(async () => {
  await admin.unsafe(`drop owned by ${role}; drop role ${role}`);
  await admin.end();
  await flow.close();
});

type Fault = { readonly breakIt: () => unknown; readonly mend: () => unknown; readonly batch?: TestBatch };

/** Loads a batch in an environment that is broken from the start and mended before the third invocation. */
async function loadThrough({ breakIt, mend, batch }: Fault): Promise<{ run: RunResult; batch: TestBatch }> {
  const loaded = batch ?? (await stageSample(flow));
  await breakIt();
  let invocations = 0;
  before = async () => {
    invocations += 1;
    if (invocations === 3) await mend();
  };
  return { run: await flow.run({ batchId: loaded.id }), batch: loaded };
}

/** The batch took effect once, and nothing was charged to it. */
async function expectUncharged(run: RunResult, batch: TestBatch): Promise<void> {
  expect(run).toMatchObject({ status: "SUCCEEDED", output: { status: "success", attempt: 1 } });
  const attempts = await attemptsOf(flow, batch);
  expect(attempts.filter((state) => state !== "abandoned")).toEqual(["loaded"]);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded", attempt: 1, reason_code: null });
  expect(flow.objects(`failed/${batch.id}/`)).toEqual([]);
  await expectInvariants(flow);
}

const alter = (change: string) => () => admin.unsafe(`alter role ${role} ${change}`);
const server = () => ({ DB_HOST: flow.database.server.host, DB_PORT: String(flow.database.server.port) });

/** A server that ends every login with this error, and counts them. */
async function openRefusing(code: string) {
  let logins = 0;
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mno\0\0`);
  const refusal = Buffer.concat([Buffer.from("E\0\0\0\0"), fields]);
  refusal.writeInt32BE(fields.length + 4, 1);
  const listening = createServer((socket) => {
    logins += 1;
    socket.on("error", () => undefined).once("data", () => socket.end(refusal));
  });
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  const { port } = listening.address() as { port: number };
  return { port: String(port), logins: () => logins, close: () => listening.close() };
}

describe("D01: the database is away: RETRY, and loaded when it is back", () => {
  test.each([
    ["nobody listens", { DB_PORT: "1" }],
    ["its name is unknown", { DB_HOST: "no-such-host.invalid" }],
  ])("%s", async (_, variables) => {
    const { run, batch } = await loadThrough({
      breakIt: () => overrideEnvironment(variables),
      mend: () => overrideEnvironment(server()),
    });
    expect(seen.map(({ name, code }) => `${name} ${code}`)).toEqual(Array(2).fill("TransientError DB_UNAVAILABLE"));
    await expectUncharged(run, batch);
    expect(await batch.probe()).toEqual(sampleLoaded);
  });

  test.each([
    ["D01: it starts up", "57P03", "DB_UNAVAILABLE"],
    ["D02: it has no free connection", "53300", "DB_TOO_MANY_CONNECTIONS"],
  ])("%s (%s): no logins in a loop", async (_, state, code) => {
    const refusing = await openRefusing(state);
    const { run, batch } = await loadThrough({
      breakIt: () => overrideEnvironment({ DB_PORT: refusing.port }),
      mend: () => overrideEnvironment(server()),
    });
    refusing.close();
    expect(seen.map((fault) => `${fault.name} ${fault.code}`)).toEqual(Array(2).fill(`TransientError ${code}`));
    // one for every transaction that was asked for, and none of them again
    expect(refusing.logins()).toBeLessThanOrEqual(4);
    await expectUncharged(run, batch);
  });
});

test("D02: the role's connections are used up (53300): RETRY DB_TOO_MANY_CONNECTIONS", async () => {
  const { host, port } = flow.database.server;
  const other = postgres({ host, port, user: role, password, database: flow.database.name, max: 1 });
  await other`select 1`;
  const { run, batch } = await loadThrough({ breakIt: alter("connection limit 1"), mend: () => other.end() });
  await alter("connection limit -1")();
  expect(seen.map(({ code }) => code)).toEqual(["DB_TOO_MANY_CONNECTIONS", "DB_TOO_MANY_CONNECTIONS"]);
  await expectUncharged(run, batch);
});

test("D04: the server is read-only, as after a failover (25006): RETRY DB_READ_ONLY on a new connection", async () => {
  const { run, batch } = await loadThrough({
    breakIt: alter("set default_transaction_read_only = on"),
    mend: alter("reset default_transaction_read_only"),
  });
  expect(seen.map(({ name, code }) => `${name} ${code}`)).toEqual(Array(2).fill("TransientError DB_READ_ONLY"));
  await expectUncharged(run, batch);
  expect(await batch.probe()).toEqual(sampleLoaded);
});

describe("D09: no room: BLOCKED DB_DISK_FULL, and loaded when there is some", () => {
  const full = `
    create function full_disk() returns trigger language plpgsql as $$ begin
      raise exception 'could not extend file' using errcode = '53100';
    end $$;
    create trigger full_disk before insert on blood for each row execute function full_disk()`;

  /** Of all staging tables, which are the loader's. */
  async function stagedRows(): Promise<unknown> {
    const tables = await admin<{ name: string }[]>`
      select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'table_loader_staging'`;
    const all = tables.map(({ name }) => `select * from (select 1 from ${name}) t`).join(" union all ");
    return { ...(await admin.unsafe(`select count(*)::integer as rows from (${all}) t`))[0] };
  }

  /** Mends once the batch was blocked, and says how the ledger stood then. */
  async function loadBlocked(batch: TestBatch, mend: () => Promise<unknown>) {
    let blocked: unknown;
    let staged: unknown;
    before = async () => {
      if (seen.length !== 1 || blocked) return;
      blocked = await ledgerOf(flow, batch);
      staged = await stagedRows();
      const idle = await flow.sql`
        select state from pg_stat_activity where usename = ${role} and state like 'idle in transaction%'`;
      expect([...idle]).toEqual([]);
      await mend();
    };
    const run = await flow.run({ batchId: batch.id });
    expect(seen.map(({ name, code }) => `${name} ${code}`)).toEqual(["BlockedError DB_DISK_FULL"]);
    expect(blocked).toMatchObject({ reason_code: "DB_DISK_FULL" });
    // what it had staged has made room
    expect(staged).toEqual({ rows: 0 });
    await expectUncharged(run, batch);
  }

  test("the disk is full in the commit (53100)", async () => {
    const batch = await stageSample(flow);
    await flow.sql.unsafe(full);
    await loadBlocked(batch, () => flow.sql.unsafe("drop function full_disk cascade"));
    expect(await batch.probe()).toEqual(sampleLoaded);
  });

  test("the limit of temporary files is reached (53400)", async () => {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "wide", approved: true });
    const records = Array.from({ length: 5_000 }, (_, number) => ({ k: `${number * 7919}`, t: "x".repeat(200) }));
    await batch.drop("wide.json", records);
    await alter("set temp_file_limit = '1kB'")();
    await alter("set work_mem = '64kB'")();
    await loadBlocked(batch, async () => {
      await alter("reset temp_file_limit")();
    });
    await alter("reset work_mem")();
    const [stored] = await flow.sql`select count(*)::integer as rows from wide`;
    expect(stored).toEqual({ rows: 5_000 });
  });
});

describe("D11: the login", () => {
  test("whose password changed in the middle (28P01): BLOCKED DB_AUTH, and loaded when it is mended", async () => {
    const batch = await stageSample(flow);
    onCrashPoint(async (point) => {
      if (point === "after-plan" && seen.length === 0) await alter("password 'another one'")();
    });
    before = async () => {
      if (seen.length === 2) await alter(`password '${password}'`)();
    };
    const run = await flow.run({ batchId: batch.id });
    expect(new Set(seen.map(({ name, code }) => `${name} ${code}`))).toEqual(new Set(["BlockedError DB_AUTH"]));
    await expectUncharged(run, batch);
    expect(await batch.probe()).toEqual(sampleLoaded);
  });

  test("that lacks a right (42501): BLOCKED DB_PERMISSION names the table, and loaded when it is granted", async () => {
    const batch = await stageSample(flow);
    await admin.unsafe(`revoke insert on blood from ${role}`);
    let reason: string | null | undefined;
    before = async () => {
      if (seen.length !== 1 || reason) return;
      reason = (await ledgerOf(flow, batch))?.reason;
      await admin.unsafe(`grant insert on blood to ${role}`);
    };
    const run = await flow.run({ batchId: batch.id });
    expect(seen).toEqual([
      { name: "BlockedError", code: "DB_PERMISSION", message: expect.stringMatching(/^DB_PERMISSION: table blood: /) },
    ]);
    expect(reason).toMatch(/^table blood: /);
    await expectUncharged(run, batch);
    expect(await batch.probe()).toEqual(sampleLoaded);
  });
});
