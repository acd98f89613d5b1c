import { randomBytes } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DatabaseDoctor } from "../../lib/core/doctor.ts";
import { openDatabaseDoctor } from "../../lib/ledger/doctor-facts.ts";
import { grantLoader } from "../../lib/ledger/loader-role.ts";
import { adoptedTables, controlTables, controlViews, migrationNames } from "../../lib/ledger/migrate.ts";
import { closeSql, openSql } from "../../lib/postgres/connection.ts";
import { openPostgresTarget } from "../../lib/targets/postgres/postgres-target.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

const role = `loader_${randomBytes(4).toString("hex")}`;
const password = randomBytes(12).toString("hex");
let database: TestDatabase;
let admin: postgres.Sql;
let loader: ReturnType<typeof openSql>;
let owner: ReturnType<typeof openSql>;

beforeAll(async () => {
  database = await openTestDatabase();
  const { adminUrl, user, password: ownerPassword } = database.server;
  admin = postgres(adminUrl, { database: database.name, max: 1, onnotice: () => {} });
  await grantLoader(admin, { role, schema: "public" });
  await admin.unsafe(`alter role ${role} password '${password}'`);
  loader = connect(role, password);
  owner = connect(user, ownerPassword);
});

afterAll(async () => {
  await Promise.all([closeSql(loader), closeSql(owner)]);
  await admin.unsafe(`drop owned by ${role}; drop role ${role}`);
  await admin.end();
  await database.close();
});

function connect(user: string, word: string) {
  const { host, port } = database.server;
  return openSql({ host, port, database: database.name, user, password: () => word, tls: null });
}

const doctorOf = (sql: ReturnType<typeof openSql>, now = () => Date.now()): DatabaseDoctor =>
  openDatabaseDoctor({ open: async () => sql, now });

/** What the role lacks of control tables and targets, as the check of permissions joins them. */
async function rightsOf(sql: ReturnType<typeof openSql>, tables: readonly string[]) {
  const control = await doctorOf(sql).rights();
  const target = await openPostgresTarget({ open: async () => sql, schema: "public" }).inspect.rights(tables);
  return {
    role: control.role,
    missing: [...control.missing, ...target.missing],
    excessive: [...control.excessive, ...target.excessive],
  };
}

describe("the role that migrate makes", () => {
  test("lacks nothing, and may do nothing else", async () => {
    const rights = await rightsOf(loader, ["subject", "blood"]);
    expect(rights).toEqual({ role, missing: [], excessive: [] });
  });

  test("sees everything that there is to look at", async () => {
    const doctor = doctorOf(loader);
    const server = await doctor.server();
    expect(server).toMatchObject({ role, encrypted: false, readOnly: null, stuckSessions: [] });
    expect(server.connections).toMatchObject([{ of: "the server", limit: expect.any(Number) }]);
    expect(server.parameters).toMatchObject({ log_error_verbosity: "terse", statement_timeout: "0" });
    expect(await doctor.control()).toEqual({
      pendingMigrations: [],
      missingRelations: [],
      missingColumns: [],
      requiredColumns: [],
    });
    expect(await doctor.contracts(null)).toEqual({ known: false, lastGood: null, queuedTables: [] });
    expect(await doctor.loads()).toMatchObject({ stalled: [], blocked: [], orphans: 0 });
  });

  test("lacks what is taken from it, by the name that grant takes", async () => {
    await admin.unsafe(
      `revoke update, delete on subject from ${role}; revoke usage on schema table_loader from ${role}`,
    );
    const { missing } = await rightsOf(loader, ["subject"]);
    expect(missing).toEqual([
      { object: "schema table_loader", rights: ["usage"] },
      { object: "table public.subject", rights: ["update", "delete"] },
    ]);
    for (const { object, rights } of missing) await admin.unsafe(`grant ${rights.join(", ")} on ${object} to ${role}`);
    expect((await rightsOf(loader, ["subject"])).missing).toEqual([]);
  });

  test("has a limit of its own", async () => {
    await admin.unsafe(`alter role ${role} connection limit 7`);
    const { connections } = await doctorOf(loader).server();
    expect(connections.find(({ of }) => of === `role ${role}`)).toEqual({ of: `role ${role}`, limit: 7, used: 1 });
    await admin.unsafe(`alter role ${role} connection limit -1`);
  });
});

test("an owner may do more than load", async () => {
  const { excessive } = await rightsOf(owner, ["blood"]);
  expect(excessive).toEqual(expect.arrayContaining(["creates in schema public", "owns table public.blood"]));
});

test("says how far the server's clock is ahead", async () => {
  const { clockAhead } = await doctorOf(loader, () => Date.now() - 60_000).server();
  expect(Math.round(clockAhead / 10_000)).toBe(6);
});

test("says what is missing of a database that was never migrated", async () => {
  await admin.unsafe("alter schema table_loader rename to elsewhere");
  const { pendingMigrations, missingRelations } = await doctorOf(owner).control();
  await admin.unsafe("alter schema elsewhere rename to table_loader");
  expect(pendingMigrations).toHaveLength(migrationNames.length);
  expect(pendingMigrations[0]).toBe("001 control-tables");
  expect(missingRelations.filter((name) => !name.startsWith("table_loader."))).toEqual([]);
  expect(missingRelations).toContain("table_loader.commits");
});

describe("what the loader knows of its migrations", () => {
  const files = globSync("lib/ledger/migrations/*.sql").toSorted();
  const text = files.map((file) => readFileSync(file, "utf8")).join("\n");
  const made = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, name]) => name as string).toSorted();

  test("is every file, by its number", () => {
    const names = files.map((file) => /(\d+)\.do\.(.+)\.sql$/.exec(file)?.slice(1));
    expect(names).toEqual(migrationNames.map((name, index) => [String(index + 1).padStart(3, "0"), name]));
  });

  test("is every table and view", () => {
    expect(made(/create (?:unlogged )?table (?:if not exists )?(\w+\.\w+)/g)).toEqual(controlTables.toSorted());
    expect(made(/create (?:or replace )?view (\w+\.\w+)/g)).toEqual(controlViews.toSorted());
  });

  test.each(Object.entries(adoptedTables))("is every column of %s", (table, columns) => {
    const [, body = ""] =
      new RegExp(`create table if not exists public\\.${table} \\(\\n([\\s\\S]*?)\\n\\);`).exec(text) ?? [];
    expect(body.split("\n").map((line) => /^ {2}(\w+) /.exec(line)?.[1])).toEqual(columns);
  });
});
