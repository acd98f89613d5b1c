import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { mockClient } from "aws-sdk-client-mock";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { overrideEnvironment } from "../../lib/config.ts";
import { grantLoader, scramVerifier } from "../../lib/ledger/loader-role.ts";
import { experimentParents } from "../../lib/local/sample/sample-records.ts";
import { type Flow, openFlow } from "../support/flow.ts";

/** An existing database, where the loader's role logs in with a password from a secret of its own. */

const role = `loader_${randomBytes(4).toString("hex")}`;
const secrets = mockClient(SecretsManagerClient);
const administratorArn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:administrator-AbCdEf";
const loaderArn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:loader-AbCdEf";
const newPassword = (): string => randomBytes(12).toString("hex");
const asAdministrator = { DB_AUTH: "secret", DB_SECRET_ARN: administratorArn, DB_LOADER_SECRET_ARN: loaderArn };
const asLoader = { DB_AUTH: "secret", DB_SECRET_ARN: loaderArn, DB_LOADER_SECRET_ARN: "" };

let flow: Flow;
let admin: postgres.Sql;

beforeAll(async () => {
  flow = await openFlow({ variables: asLoader });
  const { adminUrl } = flow.database.server;
  admin = postgres(adminUrl, { database: flow.database.name, max: 1, onnotice: () => {} });
});
beforeEach(() => {
  secrets.reset();
  const { username, password } = new URL(flow.database.server.adminUrl);
  holds(administratorArn, { username, password: decodeURIComponent(password) });
});
afterAll(async () => {
  await admin.unsafe(`drop owned by ${role}; drop role ${role}`);
  await admin.end();
  await flow.close();
});

function holds(SecretId: string, login: { username: string; password: string }): void {
  secrets.on(GetSecretValueCommand, { SecretId }).resolves({ SecretString: JSON.stringify(login) });
}

async function migrateWith(password: string): Promise<void> {
  holds(loaderArn, { username: role, password });
  overrideEnvironment(asAdministrator);
  await flow.invoke("migrate").finally(() => overrideEnvironment(asLoader));
}

async function loginWith(password: string): Promise<string> {
  const { host, port } = flow.database.server;
  const sql = postgres({ host, port, user: role, password, database: flow.database.name, max: 1 });
  try {
    const [row] = await sql<{ name: string }[]>`select current_user as name`;
    return row?.name ?? "";
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await sql.end();
  }
}

describe("the loader's own secret", () => {
  test("is where migrate takes the role from, and all that the other functions read", async () => {
    const password = newPassword();
    await migrateWith(password);
    secrets.reset();
    holds(loaderArn, { username: role, password });
    const batchId = "batch_20260101_120000";
    const { fileName, body } = experimentParents(5);
    await flow.put(`staging/validated/${batchId}/${fileName}`, body);
    await flow.queueRow({ batchId, table: "subject", approved: true });
    const { status, cause } = await flow.run({ batchId });
    expect({ status, cause }).toMatchObject({ status: "SUCCEEDED" });
    const read = secrets.commandCalls(GetSecretValueCommand).map(({ args }) => args[0].input.SecretId);
    expect(new Set(read)).toEqual(new Set([loaderArn]));
  });

  test("brings a rotated password at the next migration, and the one before is refused", async () => {
    const [before, after] = [newPassword(), newPassword()];
    await migrateWith(before);
    expect(await loginWith(before)).toBe(role);
    await migrateWith(after);
    expect(await loginWith(after)).toBe(role);
    expect(await loginWith(before)).toBe("28P01");
  });

  test("stays out of the server's log, whatever that logs", async () => {
    const password = newPassword();
    const { server, name } = flow.database;
    const here = `alter role ${new URL(server.adminUrl).username} in database ${name}`;
    await admin.unsafe(`${here} set log_statement = 'all'`);
    await migrateWith(password).finally(() => admin.unsafe(`${here} reset log_statement`));
    const log = () => readFileSync(server.logFile, "utf8");
    await expect.poll(log).toContain(`alter role "${role}" login password 'SCRAM-SHA-256$4096:`);
    // The server writes in order: what it said before the migration's last statements is there by now.
    expect(log()).not.toContain(password);
  });
});

describe("the verifier", () => {
  test("is the one that the server itself would make of the password", async () => {
    const password = "Pa ss'w\\ord~";
    const made = `made_${randomBytes(4).toString("hex")}`;
    await admin.unsafe(`create role ${made} password 'Pa ss''w\\ord~'`);
    const [stored] = await admin<{ rolpassword: string }[]>`select rolpassword from pg_authid where rolname = ${made}`;
    await admin.unsafe(`drop role ${made}`);
    const salt = Buffer.from(/^SCRAM-SHA-256\$4096:([^$]+)\$/.exec(stored?.rolpassword ?? "")?.[1] ?? "", "base64");
    expect(scramVerifier(password, salt)).toBe(stored?.rolpassword);
    expect(scramVerifier(password)).not.toBe(scramVerifier(password));
  });

  test.each(["pässword", "a\u0000b", "two\nlines", ""])(
    "is none for %j, which clients spell differently",
    (password) => {
      expect(() => scramVerifier(password)).toThrow(/DB_AUTH: password .* expected printable ASCII/);
    },
  );
});

describe("X09: a role that could do more than load is refused, and nothing is changed", () => {
  const other = `other_${randomBytes(4).toString("hex")}`;
  const grant = () => grantLoader(admin, { role: other, schema: "public", password: "stolen" });
  const passwordOf = async (name: string) =>
    (await admin<{ rolpassword: string | null }[]>`select rolpassword from pg_authid where rolname = ${name}`)[0]
      ?.rolpassword;

  test("one that is the administrator: its password stays", async () => {
    const { username } = new URL(flow.database.server.adminUrl);
    const before = await passwordOf(username);
    const attempt = grantLoader(admin, { role: username, schema: "public", password: "stolen" });
    await expect(attempt).rejects.toThrow(/DB_LOADER_RIGHTS: role .*: got the role that migrates/);
    expect(await passwordOf(username)).toBe(before);
  });

  test.each([
    ["superuser", "got a role that may create databases or roles"],
    ["createrole", "got a role that may create databases or roles"],
    ["createdb", "got a role that may create databases or roles"],
  ])("one with %s", async (attribute, text) => {
    await admin.unsafe(`create role ${other} ${attribute}`);
    try {
      await expect(grant()).rejects.toThrow(`DB_LOADER_RIGHTS: role ${other}: ${text}`);
      expect(await passwordOf(other)).toBeNull();
    } finally {
      await admin.unsafe(`drop role ${other}`);
    }
  });

  test("one that owns a target, through another role", async () => {
    await admin.unsafe(`create role ${other} in role ${flow.database.server.user}`);
    try {
      await expect(grant()).rejects.toThrow(/got an owner of \S+, expected one that owns no table/);
    } finally {
      await admin.unsafe(`drop role ${other}`);
    }
  });

  test("any, while everybody may create in the targets' schema", async () => {
    await admin.unsafe("grant create on schema public to public");
    try {
      await expect(grant()).rejects.toThrow(/may create in schema public, expected that it may not; revoke create/);
      expect(await admin`select from pg_roles where rolname = ${other}`).toHaveLength(0);
    } finally {
      await admin.unsafe("revoke create on schema public from public");
    }
  });
});
