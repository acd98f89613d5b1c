import { describe, expect, test, vi } from "vitest";
import type {
  BucketDoctor,
  DatabaseDoctor,
  DoctorSettings,
  MachineDoctor,
  QueueDoctor,
  ServerFacts,
} from "../../lib/core/doctor.ts";
import { BlockedError } from "../../lib/core/errors.ts";
import { bucketChecks, machineChecks, queueChecks } from "../../lib/steps/doctor/aws-checks.ts";
import { openContractView, targetChecks } from "../../lib/steps/doctor/contracts-and-targets.ts";
import { databaseChecks } from "../../lib/steps/doctor/database-checks.ts";
import { settingsChecks } from "../../lib/steps/doctor/load-checks.ts";
import { type PlannedCheck, runChecks } from "../../lib/steps/doctor/run-checks.ts";
import { within } from "../../lib/wiring.ts";
import { namesOf } from "./doctor-support.ts";

/** What no server of a test can be brought to, told of it by its port. */

const settings: DoctorSettings = {
  database: {
    host: "db.example.org",
    port: 5432,
    name: "idhub",
    user: "u",
    auth: "iam",
    tls: "verify",
    schema: "public",
  },
  region: "us-east-1",
  bucket: "fragments",
  bucketVersioning: true,
  bucketOwner: "123456789012",
  requireApproval: true,
  maxWorkers: 20,
  maxLoads: 5,
  leaseSeconds: 960,
  stateMachineArn: "arn",
  arrivalsQueueUrl: null,
  deadLetterQueueUrl: null,
  undeliveredQueueUrl: null,
  functionVersion: "7",
  localEndpoint: null,
};

const runner = { within, secondsLeft: () => 6 };
const now = Date.parse("2026-01-02T00:00:00Z");
const found = async (checks: readonly PlannedCheck[]): Promise<string[]> => namesOf(await runChecks(runner, checks));

describe("the database", () => {
  const server: ServerFacts = {
    version: "18.4",
    role: "u",
    encrypted: true,
    readOnly: null,
    connections: [{ of: "the server", limit: 100, used: 10 }],
    stuckSessions: [],
    clockAhead: 40,
    parameters: { log_error_verbosity: "terse", log_statement: "none", statement_timeout: "0" },
  };
  const ask = (facts: Partial<ServerFacts>, other: Partial<DoctorSettings> = {}): Promise<string[]> => {
    const database = { server: async () => ({ ...server, ...facts }) } as DatabaseDoctor;
    return found(databaseChecks(database, { ...settings, ...other }));
  };
  const logging = (parameters: Record<string, string>) => ({ parameters: { ...server.parameters, ...parameters } });

  test("is as it should be", async () => {
    expect(await ask({})).toEqual([]);
    expect(await ask({ version: "16.0", ...logging({ statement_timeout: "60000" }) })).toEqual([]);
    expect(await ask({ encrypted: false }, { database: { ...settings.database, host: "127.0.0.1" } })).toEqual([]);
  });

  test.each<readonly [string, Partial<ServerFacts>, string]>([
    ["TLS that is off", { encrypted: false }, "TLS_OFF DB_TLS"],
    ["an old server", { version: "15.13" }, "SERVER_OLD server"],
    ["a standby", { readOnly: "standby" }, "SERVER_READ_ONLY server"],
    ["connections in use", { connections: [{ of: "role u", limit: 50, used: 40 }] }, "CONNECTIONS_USED role u"],
    [
      "connections that are too few",
      { connections: [{ of: "role u", limit: 31, used: 0 }] },
      "CONNECTIONS_SHORT role u",
    ],
    ["a clock that is ahead", { clockAhead: 5_001 }, "CLOCK_SKEW the server's clock"],
    ["a clock that is behind", { clockAhead: -5_001 }, "CLOCK_SKEW the server's clock"],
    ["sessions that are stuck", { stuckSessions: [4711] }, "SESSION_STUCK sessions of the role"],
    ["details of errors", logging({ log_error_verbosity: "default" }), "LOG_VALUES parameter log_error_verbosity"],
    [
      "parameters of failed statements",
      logging({ log_parameter_max_length_on_error: "-1" }),
      "LOG_VALUES parameter log_parameter_max_length_on_error",
    ],
    [
      "parameters of slow statements",
      logging({ log_min_duration_statement: "0", log_parameter_max_length: "-1" }),
      "LOG_VALUES parameter log_parameter_max_length",
    ],
    [
      "parameters of explained statements",
      logging({ "auto_explain.log_min_duration": "100", "auto_explain.log_parameter_max_length": "-1" }),
      "LOG_VALUES parameter auto_explain.log_parameter_max_length",
    ],
    ["short transactions", logging({ transaction_timeout: "1000" }), "TIMEOUT_SHORT parameter transaction_timeout"],
  ])("finds %s", async (_, facts, name) => {
    expect(await ask(facts)).toEqual([name]);
  });

  test.each([
    [
      "logs fatal errors alone",
      { log_error_verbosity: "default", log_min_messages: "fatal", log_min_error_statement: "fatal" },
    ],
    ["logs statements without their parameters", { log_statement: "all", log_parameter_max_length: "0" }],
    ["explains nothing", { "auto_explain.log_min_duration": "-1", "auto_explain.log_parameter_max_length": "-1" }],
  ])("is content with a server that %s", async (_, parameters) => {
    expect(await ask(logging(parameters as unknown as Record<string, string>))).toEqual([]);
  });
});

test("finds a lease that is too short, where tasks are deployed", async () => {
  const ask = (other: Partial<DoctorSettings>) =>
    found(settingsChecks({ settings: { ...settings, ...other }, faults: [] }));
  expect(await ask({ leaseSeconds: 930 })).toEqual(["LEASE_SHORT LEASE_SECONDS"]);
  expect(await ask({ leaseSeconds: 931 })).toEqual([]);
  expect(await ask({ leaseSeconds: 30, localEndpoint: "http://127.0.0.1:1" })).toEqual([]);
});

describe("the bucket", () => {
  const rule = { id: "staging", prefix: "staging/validated/", expires: false, abortsUploads: true };
  const bucket: BucketDoctor = {
    list: async () => {},
    versioning: async () => "enabled",
    encryption: async () => "aws:kms",
    sendsEvents: async () => true,
    lifecycle: async () => [rule, { id: "previews", prefix: "previews/", expires: true, abortsUploads: false }],
    unfinished: async () => 0,
  };
  const ask = (facts: Partial<BucketDoctor>, other: Partial<DoctorSettings> = {}): Promise<string[]> =>
    found(bucketChecks({ bucket: { ...bucket, ...facts }, settings: { ...settings, ...other }, now: () => now }));
  const expiring = (prefix: string) => ({ lifecycle: async () => [{ ...rule, id: "old", prefix, expires: true }] });

  test("is as it should be", async () => {
    expect(await ask({})).toEqual([]);
    expect(await ask({ encryption: async () => "aws:kms:dsse" })).toEqual([]);
  });

  test.each<readonly [string, Partial<BucketDoctor>, string]>([
    ["versions that are not kept", { versioning: async () => "suspended" }, "VERSIONING_OFF s3://fragments"],
    ["a key of S3's own", { encryption: async () => "AES256" }, "ENCRYPTION_DEFAULT default encryption"],
    ["events that are not sent", { sendsEvents: async () => false }, "EVENTS_OFF event notifications"],
    ["an archive that is deleted", expiring("loaded/"), "LIFECYCLE_EXPIRES lifecycle rule old"],
    ["a part of it that is", expiring("loaded/batch_2025"), "LIFECYCLE_EXPIRES lifecycle rule old"],
    ["everything that is", expiring(""), "LIFECYCLE_EXPIRES lifecycle rule old"],
    ["copies that nobody gives up", { lifecycle: async () => [] }, "LIFECYCLE_UPLOADS lifecycle"],
    ["copies that were never ended", { unfinished: async () => 3 }, "UPLOADS_LEFT copies in parts"],
  ])("finds %s", async (_, facts, name) => {
    expect(await ask(facts)).toEqual([name]);
  });

  test("finds settings that count on less than there is", async () => {
    expect(await ask({}, { bucketVersioning: false })).toEqual(["VERSIONING_UNUSED s3://fragments"]);
    expect(await ask({}, { bucketOwner: null })).toEqual(["OWNER_UNCHECKED S3_BUCKET_OWNER"]);
  });

  test("asks for what is older than a day", async () => {
    const asked: Date[] = [];
    await ask({ unfinished: async (before) => asked.push(before) && 0 });
    expect(asked).toEqual([new Date("2026-01-01T00:00:00Z")]);
  });

  test("goes on where a setting may not be read", async () => {
    const denied = async (): Promise<never> => {
      throw new BlockedError("S3_ACCESS", "s3://fragments: S3 denies access");
    };
    const names = await ask({ versioning: denied, sendsEvents: async () => false });
    expect(names).toEqual(["EVENTS_OFF event notifications", "NOT_CHECKED versions"]);
  });
});

describe("the machine", () => {
  const ask = (facts: Partial<MachineDoctor>): Promise<string[]> => {
    const machine: MachineDoctor = { status: async () => "ACTIVE", running: async () => [], ...facts };
    return found(machineChecks({ machine, arn: "arn", now: () => now }));
  };

  test("is as it should be, and is found where it is not", async () => {
    const running = (startedAt: string) => async () => [{ name: "e", startedAt: new Date(startedAt) }];
    expect(await ask({ running: running("2026-01-01T00:00:01Z") })).toEqual([]);
    expect(await ask({ running: running("2025-12-31T23:59:59Z") })).toEqual(["EXECUTION_LONG execution e"]);
    expect(await ask({ status: async () => "DELETING" })).toEqual(["MACHINE_INACTIVE arn"]);
  });
});

describe("the queues", () => {
  const roles = ["arrivals", "dead letters", "undelivered"] as const;
  const ask = (measure: QueueDoctor["measure"]): Promise<string[]> =>
    found(
      queueChecks(
        { measure },
        roles.map((role) => ({ role, url: role.toUpperCase() })),
      ),
    );

  test("hold nothing, or too much", async () => {
    expect(
      await ask(async (url) => ({ waiting: url === "ARRIVALS" ? 500 : 0, inFlight: 9 * Number(url === "ARRIVALS") })),
    ).toEqual([]);
    expect(await ask(async () => ({ waiting: 501, inFlight: 0 }))).toEqual([
      "ARRIVALS_WAITING ARRIVALS",
      "DEAD_LETTERS DEAD LETTERS",
      "EVENTS_UNDELIVERED UNDELIVERED",
    ]);
  });

  test("are not there, or may not be asked", async () => {
    const failing = (code: string) => async (): Promise<never> => {
      throw new BlockedError(code, "why");
    };
    expect(await ask(failing("AWS_MISSING"))).toEqual(roles.map((role) => `AWS_MISSING ${role}`));
    expect(await ask(failing("AWS_ACCESS"))).toEqual(roles.map((role) => `NOT_CHECKED ${role}`));
  });
});

describe("a check", () => {
  const silent = new Promise<never>(() => {});
  const fine: PlannedCheck = { area: "loads", name: "fine", run: () => ({ said: "fine", findings: [] }) };

  test("that gets no answer is said, and the next one is run", async () => {
    const hanging: PlannedCheck = { area: "loads", name: "hanging", run: () => silent };
    const { checks } = await runChecks({ within, secondsLeft: () => 0.01 }, [hanging, fine]);
    expect(checks).toMatchObject([
      {
        outcome: "warning",
        findings: [{ code: "NOT_CHECKED", got: expect.stringMatching(/^NO_ANSWER: no answer within/) }],
      },
      { outcome: "ok", said: "fine" },
    ]);
  });

  test("for which no time is left is not begun, and said", async () => {
    const run = vi.fn(fine.run);
    const late: PlannedCheck = { ...fine, run };
    const { checks } = await runChecks({ within, secondsLeft: () => -1 }, [late, late]);
    expect(run).not.toHaveBeenCalled();
    expect(checks.map(({ findings }) => findings[0]?.got)).toEqual(
      [1, 2].map(() => expect.stringMatching(/^NO_ANSWER: no time was left/)),
    );
  });

  test("that fails in a way that nobody foresaw says nothing of its values", async () => {
    const broken: PlannedCheck = { ...fine, run: () => Promise.reject(new TypeError("value 4711 of a record")) };
    const { checks } = await runChecks(runner, [broken]);
    expect(JSON.stringify(checks)).not.toContain("4711");
    expect(checks).toMatchObject([
      { findings: [{ code: "NOT_CHECKED", got: expect.stringMatching(/^LOADER_BUG: .*TypeError/) }] },
    ]);
  });
});

test("finds a role that owns what it loads, but for the local environment's", async () => {
  const facts = { known: true, lastGood: null, queuedTables: [] };
  const rights = { role: "u", missing: [], excessive: ["owns table public.blood"] };
  const database = { contracts: async () => facts, rights: async () => ({ ...rights, excessive: [] }) } as object;
  const inspect = { rights: async () => rights, unindexed: async () => [] };
  const text = JSON.stringify({ tables: {} });
  const ports = {
    database: database as DatabaseDoctor,
    catalog: { read: async () => new Map() },
    store: { readText: async () => ({ text, etag: "" }), keys: async () => [] },
  };
  const ask = (localEndpoint: string | null) =>
    found(
      targetChecks(openContractView(ports), {
        database: ports.database,
        inspect,
        settings: { ...settings, localEndpoint },
      }),
    );
  expect(await ask(null)).toEqual(["ROLE_DDL role u"]);
  expect(await ask("http://127.0.0.1:1")).toEqual([]);
});
