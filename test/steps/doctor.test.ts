import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import type postgres from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { overrideEnvironment, settings } from "../../lib/config.ts";
import { contractsKey } from "../../lib/core/keys.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { examine, namesOf, openAdmin, runStatements, skippedOf } from "./doctor-support.ts";

/** Every fault that can be made on a real server and bucket is found, and nothing else is. */

let flow: Flow;
let admin: postgres.Sql;
let contracts: string;
beforeAll(async () => {
  flow = await openFlow();
  admin = openAdmin(flow);
  contracts = JSON.stringify(await flow.json(contractsKey), null, 2);
  await flow.invoke("sweep");
});
afterAll(async () => {
  await admin.end();
  await flow.close();
});

const healthy = async (): Promise<void> => expect(namesOf(await examine(flow))).toEqual([]);

test("finds nothing in a healthy environment, looks at all of it, and leaves no trace", async () => {
  const before = await tracesOf();
  const diagnosis = await examine(flow);
  expect(namesOf(diagnosis)).toEqual([]);
  expect(skippedOf(diagnosis)).toEqual([]);
  expect(diagnosis.checks.filter(({ said }) => said === "")).toEqual([]);
  expect(diagnosis.queues).toMatchObject([
    { role: "arrivals", url: flow.bucket.arrivals.url },
    { role: "dead letters", url: flow.bucket.deadLetters.url },
    { role: "undelivered", url: null },
  ]);
  expect(await tracesOf()).toEqual(before);
});

/** Rows of the ledger and objects of the bucket. */
async function tracesOf() {
  const tables = await flow.sql<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname in ('public', 'table_loader', 'table_loader_staging') order by 1
  `;
  const rows = tables.map(async ({ name }) => {
    const [row] = await flow.sql.unsafe(`select md5(string_agg(t::text, '|' order by t::text)) as rows from ${name} t`);
    return [name, row?.rows];
  });
  return { rows: await Promise.all(rows), objects: flow.objects("") };
}

type Fault = readonly [name: string, make: readonly string[], mend: readonly string[], found: readonly string[]];

const insertBatch = (columns: string, values: string): string =>
  `insert into table_loader.batches (batch_id, ${columns}) values ('batch_20260101_000000', ${values})`;
const forgetBatches = ["delete from table_loader.batches"];
const batchId = "batch_20260101_000000";

const byOwner: readonly Fault[] = [
  [
    "a login that only reads",
    ["alter database {db} set default_transaction_read_only = on"],
    ["alter database {db} reset default_transaction_read_only"],
    ["SERVER_READ_ONLY server"],
  ],
  [
    "statements that are ended early",
    ["alter database {db} set statement_timeout = '30s'"],
    ["alter database {db} reset statement_timeout"],
    ["TIMEOUT_SHORT parameter statement_timeout"],
  ],
  [
    "a migration that has not run",
    ["create table kept as table table_loader.migrations", "delete from table_loader.migrations where version = 6"],
    ["insert into table_loader.migrations select * from kept where version = 6", "drop table kept"],
    ["MIGRATION_PENDING migration 006 line"],
  ],
  [
    "a view that is gone",
    ["alter view load_history rename to elsewhere"],
    ["alter view elsewhere rename to load_history"],
    ["CONTROL_TABLE_MISSING public.load_history"],
  ],
  [
    "an adopted queue without a column",
    ["alter table validation_queue rename column approved_by to approver"],
    ["alter table validation_queue rename column approver to approved_by"],
    ["CONTROL_COLUMN_MISSING public.validation_queue.approved_by"],
  ],
  [
    "an adopted queue with a column that nobody fills",
    ["alter table validation_queue add column center text not null"],
    ["alter table validation_queue drop column center"],
    ["CONTROL_COLUMN_REQUIRED public.validation_queue.center"],
  ],
  [
    "a table that may not be written",
    ["revoke insert, update on blood from current_user"],
    ["grant insert, update on blood to current_user"],
    ["GRANT_MISSING table public.blood"],
  ],
  [
    "a schema in which nothing may be made",
    ["revoke create on schema table_loader_staging from current_user"],
    ["grant create on schema table_loader_staging to current_user"],
    ["GRANT_MISSING schema table_loader_staging"],
  ],
  [
    "a sequence that may not be used",
    ["create sequence nos", "alter table blood add column no bigint default nextval('nos')"].concat(
      "revoke all on sequence nos from current_user",
    ),
    ["alter table blood drop column no", "drop sequence nos"],
    ["GRANT_MISSING sequence public.nos"],
  ],
  [
    "row-level security",
    ["alter table blood enable row level security"],
    ["alter table blood disable row level security"],
    ["TABLE_RLS table blood"],
  ],
  [
    "a natural key without its index",
    ["alter table lcl drop constraint lcl_key", "create index kept on lcl (global_subject_id)"],
    ["alter table lcl add constraint lcl_key unique (global_subject_id, niddk_no)", "drop index kept"],
    ["KEY_UNGUARDED table lcl"],
  ],
  [
    "a natural key of a column that is not there",
    ["alter table stool rename column sample_id to sid"].concat(
      "alter table stool rename column date_collected to day",
    ),
    ["alter table stool rename column sid to sample_id", "alter table stool rename column day to date_collected"],
    [
      // of both columns, and of the second one's place among the required fields
      "CONTRACT_FAULT table stool",
      "CONTRACT_FAULT table stool",
      "KEY_COLUMN_MISSING table stool",
    ],
  ],
  [
    "a foreign key without an index",
    ["drop index serum_subject_idx"],
    ["create index serum_subject_idx on serum (global_subject_id)"],
    ["FOREIGN_KEY_UNINDEXED table serum, constraint serum_subject_fkey"],
  ],
  [
    "a queued table without a contract",
    [`insert into validation_queue (batch_id, table_name) values ('${batchId}', 'urine')`],
    ["delete from validation_queue"],
    ["TABLE_UNCOVERED table urine"],
  ],
  [
    "a sweep that does not come",
    ["update table_loader.cursors set moved_at = now() - interval '11 minutes'"],
    ["update table_loader.cursors set moved_at = now()"],
    ["SWEEP_SILENT sweep"],
  ],
  [
    "a load that does not move",
    [insertBatch("state, lease_until", "'loading', now() - interval '1 minute'")],
    forgetBatches,
    [`LOAD_STALLED batch ${batchId}`],
  ],
  [
    "a load that its environment blocks",
    [insertBatch("state, owner, reason_code, reason", "'loading', 'x', 'DB_DISK_FULL', 'no room'")],
    forgetBatches,
    [`LOAD_BLOCKED batch ${batchId}`],
  ],
  [
    "a batch that waits for days",
    [insertBatch("waiting_since, reason_code, reason", "now() - interval '2 days', 'NOT_APPROVED', 'why'")],
    forgetBatches,
    [`BATCH_WAITING batch ${batchId}`],
  ],
  [
    "staging of no load",
    ["create table table_loader_staging.p99_0 (x int)"],
    ["drop table table_loader_staging.p99_0"],
    ["STAGING_LEFT table_loader_staging"],
  ],
  [
    "events that did not come",
    [`insert into table_loader.healings (batch_id, kind, detail) values ('${batchId}', 'EVENT_MISSED', 'x')`],
    ["delete from table_loader.healings"],
    ["EVENTS_MISSED arrivals"],
  ],
];

test.each(byOwner)("finds %s", async (_, make, mend, found) => {
  await runStatements(flow.sql, flow, make);
  const diagnosis = await examine(flow);
  await runStatements(flow.sql, flow, mend);
  expect(namesOf(diagnosis)).toEqual(found.toSorted());
  await healthy();
});

const byAdmin: readonly Fault[] = [
  [
    "few connections",
    ["alter database {db} connection limit 20"],
    ["alter database {db} connection limit -1"],
    ["CONNECTIONS_SHORT database {db}"],
  ],
  [
    "values in the server's log",
    ["alter database {db} set log_error_verbosity = 'verbose'", "alter database {db} set log_statement = 'mod'"],
    ["alter database {db} reset log_error_verbosity", "alter database {db} reset log_statement"],
    ["LOG_VALUES parameter log_error_verbosity", "LOG_VALUES parameter log_parameter_max_length"],
  ],
];

test.each(byAdmin)("finds %s", async (_, make, mend, found) => {
  await runStatements(admin, flow, make);
  const diagnosis = await examine(flow);
  await runStatements(admin, flow, mend);
  expect(namesOf(diagnosis)).toEqual(found.map((name) => name.replace("{db}", flow.database.name)));
  await healthy();
});

describe("the contracts", () => {
  const remove = () => fetch(`${flow.bucket.endpoint}/${flow.bucket.name}/${contractsKey}`, { method: "DELETE" });
  const faulty = '{ "tables": { "blood": { "natural_key": [], "keys": 1 } } }';
  const mended = async (): Promise<void> => {
    await flow.put(contractsKey, contracts);
    await healthy();
  };
  // a sweep has found the sample's contracts valid
  beforeEach(async () => {
    await flow.sql`delete from table_loader.contracts`;
  });

  test("that are not there", async () => {
    await remove();
    expect(namesOf(await examine(flow))).toEqual([`CONTRACT_MISSING ${contractsKey}`, `CONTRACT_NONE ${contractsKey}`]);
    await mended();
  });

  test("that have faults, all of them, with nothing else in force", async () => {
    await flow.put(contractsKey, faulty);
    const found = [1, 2].map(() => `CONTRACT_FAULT ${contractsKey}`);
    expect(namesOf(await examine(flow))).toEqual([...found, `CONTRACT_NONE ${contractsKey}`]);
    await mended();
  });

  test("that have faults, while an earlier version is in force", async () => {
    await flow.sql`insert into table_loader.contracts (hash, body) values ('0123456789abcdef', ${contracts})`;
    await flow.put(contractsKey, '{ "tables": { "blood": { "natural_key": ["sample_id", "nothing"] } } }');
    const [fault, outdated, ...others] = namesOf(await examine(flow));
    expect(fault).toMatch(/^CONTRACT_OUTDATED version 0123456789ab, found valid at 20/);
    expect(outdated).toBe("KEY_COLUMN_MISSING table blood");
    expect(others).toEqual([]);
    await mended();
  });
});

test("finds fragments of a table without a contract", async () => {
  const key = "staging/validated/batch_20260101_000001/urine.json";
  await flow.put(key, []);
  expect(namesOf(await examine(flow))).toEqual(["TABLE_UNCOVERED table urine"]);
  await fetch(`${flow.bucket.endpoint}/${flow.bucket.name}/${key}`, { method: "DELETE" });
  await healthy();
});

describe("an environment that points elsewhere", () => {
  const failing: readonly (readonly [string, Record<string, string>, RegExp[], RegExp])[] = [
    ["a wrong password", { DB_PASSWORD: "wrong" }, [/^DB_AUTH .* as /], /^not checked: DB_AUTH above$/],
    ["no password", { DB_PASSWORD: "" }, [/^DB_AUTH /], /DB_AUTH/],
    ["a database that is down", { DB_PORT: "9" }, [/^DB_UNAVAILABLE 127.0.0.1:9/], /DB_UNAVAILABLE/],
    ["another database", { DB_NAME: "nowhere" }, [/^DB_MISSING .*\/nowhere as /], /DB_MISSING/],
    ["a server without TLS", { DB_TLS: "verify" }, [/^DB_TLS /], /DB_TLS/],
    ["another bucket", { S3_BUCKET: "somebody-elses" }, [/^S3_BUCKET s3:\/\/somebody-elses/], /S3_BUCKET/],
    [
      "wrong variables",
      { DB_PORT: "x", MAX_LOADS: "x" },
      [/^SETTING_INVALID DB_PORT$/, /^SETTING_INVALID MAX_LOADS$/],
      /DB_PORT/,
    ],
    [
      "another machine",
      { STATE_MACHINE_ARN: "arn:aws:states:us-east-1:0:stateMachine:x" },
      [/^AWS_MISSING arn/],
      /AWS/,
    ],
  ];

  test.each(failing)("finds %s, and goes on with the rest", async (_, variables, found, reason) => {
    const before = { ...flow.database.variables, ...flow.bucket.variables, MAX_LOADS: "" };
    const machine = `arn:aws:states:${flow.bucket.region}:000000000000:stateMachine:LoadBatch`;
    overrideEnvironment(variables);
    const diagnosis = await examine(flow);
    overrideEnvironment({ ...before, STATE_MACHINE_ARN: machine });
    const names = namesOf(diagnosis);
    expect(names).toHaveLength(found.length);
    for (const [index, pattern] of found.entries()) expect(names[index]).toMatch(pattern);
    const skipped = skippedOf(diagnosis);
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped.filter(({ said }) => !reason.test(said))).toEqual([]);
    expect(diagnosis.checks.filter(({ outcome }) => outcome === "ok").length).toBeGreaterThan(3);
    await healthy();
  });

  test("says that it knows no machine", async () => {
    overrideEnvironment({ STATE_MACHINE_ARN: "" });
    const diagnosis = await examine(flow);
    overrideEnvironment({
      STATE_MACHINE_ARN: `arn:aws:states:${flow.bucket.region}:000000000000:stateMachine:LoadBatch`,
    });
    expect(namesOf(diagnosis)).toEqual(["SETTING_MISSING STATE_MACHINE_ARN"]);
  });
});

test("does not wait for a table that somebody has locked", async () => {
  const locker = flow.database.connect({ max: 1 });
  const lock = await locker.reserve();
  await lock`begin`;
  await lock`lock table table_loader.batches, public.validation_queue in access exclusive mode`;
  const diagnosis = await examine(flow);
  await lock`rollback`;
  lock.release();
  const unanswered = diagnosis.checks.flatMap(({ findings }) => findings);
  expect(unanswered.map(({ code }) => code)).toEqual(unanswered.map(() => "NOT_CHECKED"));
  expect(unanswered.map(({ where }) => where)).toContain("sweep");
  expect(unanswered[0]?.got).toMatch(/^DB_LOCK_TIMEOUT: .*validation_queue/);
  await healthy();
});

test("does not wait for what says nothing", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const machine = settings().localMachineEndpoint ?? "";
  overrideEnvironment({ DB_PORT: String(port), LOCAL_ENDPOINT: url, LOCAL_MACHINE_ENDPOINT: url });
  const started = performance.now();
  const diagnosis = await examine(flow);
  const seconds = (performance.now() - started) / 1000;
  overrideEnvironment({ ...flow.database.variables, ...flow.bucket.variables, LOCAL_MACHINE_ENDPOINT: machine });
  silent.close();
  expect(namesOf(diagnosis)).toEqual([
    `AWS_UNAVAILABLE arn:aws:states:us-east-1:000000000000:stateMachine:LoadBatch`,
    `AWS_UNAVAILABLE s3://${flow.bucket.name}`,
    expect.stringMatching(/^DB_STALLED /),
  ]);
  expect(seconds).toBeLessThan(40);
  await healthy();
});
