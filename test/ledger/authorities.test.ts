import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rdsAuthorities } from "../../lib/infra/context.ts";
import { type LocalPostgres, openPostgres } from "../../lib/local/postgres.ts";
import { readAuthorities } from "../../lib/postgres/client.ts";
import { closeSql, openSql } from "../../lib/postgres/connection.ts";
import { inTransaction } from "../../lib/postgres/transaction.ts";
import { selfSigned, signed } from "./support/certificates.ts";

/** X10, on a real server whose certificate an authority of its own has signed. */

const folder = mkdtempSync(join(tmpdir(), "table-loader-authorities-"));
let server: LocalPostgres;

beforeAll(async () => {
  const dataDir = join(folder, "data");
  const plain = await openPostgres({ dataDir });
  const admin = postgres(plain.adminUrl, { max: 1 });
  const [setting] = await admin<
    { path: string }[]
  >`select setting as path from pg_settings where name = 'data_directory'`;
  // Written by the server itself, since it takes no key that is somebody else's.
  for (const [name, text] of Object.entries({ "server.key": signed.key, "server.crt": signed.cert })) {
    const lines = text.split("\n").map((line) => `('${line}')`);
    const file = join(setting?.path ?? "", name);
    await admin.unsafe(`copy (values ${lines.join(", ")}) to '${file}'`);
    chmodSync(file, 0o600);
  }
  await admin.end();
  await plain.close();
  server = await openPostgres({ dataDir, parameters: { ssl: "on" } });
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function pemFile(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** What the server says of the connection, or the fault of it. */
async function connect(authorities: string, host = server.host): Promise<unknown> {
  const { port, user, password, database } = server;
  const tls = readAuthorities(authorities);
  const sql = openSql({ host, port, user, database, password: () => password, tls });
  try {
    const ask = inTransaction(sql, {}, (tx) => tx`select ssl from pg_stat_ssl where pid = pg_backend_pid()`);
    return (await ask)[0];
  } catch (error) {
    return error;
  } finally {
    await closeSql(sql);
  }
}

const refused = { name: "BlockedError", code: "DB_TLS", message: expect.stringContaining("is not trusted") };

describe("X10: the certificate of the server", () => {
  test("is trusted where the file holds the authority that signed it, also among others", async () => {
    expect(await connect(pemFile("own.pem", signed.authority))).toEqual({ ssl: true });
    expect(await connect(pemFile("both.pem", `${rdsAuthorities()}${signed.authority}\n`))).toEqual({ ssl: true });
  });

  test("is refused where the file holds another authority alone", async () => {
    expect(await connect(pemFile("other.pem", selfSigned.cert))).toMatchObject(refused);
  });

  test("is refused by the roots of RDS, which are those that a deployment ships", async () => {
    expect(await connect(pemFile("rds.pem", rdsAuthorities()))).toMatchObject(refused);
  });

  test("is refused by the authorities of Node", async () => {
    expect(await connect("system")).toMatchObject(refused);
  });

  test("is refused where it is another host's", async () => {
    // The same server by a name that its certificate does not have.
    expect(await connect(pemFile("own.pem", signed.authority), "localhost")).toMatchObject(refused);
  });
});

describe("the file of authorities", () => {
  test.each(["bundled", "/nowhere/ca.pem"])("that is not there is named: %s", (authorities) => {
    expect(() => readAuthorities(authorities)).toThrow(/^DB_TLS: certificate authorities: \/.* correct DB_CA/);
  });

  test("that holds no certificate is named", () => {
    expect(() => readAuthorities(pemFile("text.pem", "no certificate"))).toThrow(/no readable PEM file/);
  });

  test("that is bundled lies beside the code", () => {
    const file = join(
      dirname(new URL(import.meta.resolve("../../lib/postgres/client.ts")).pathname),
      "database-ca.pem",
    );
    expect(() => readAuthorities("bundled")).toThrow(file);
  });
});
