import { randomBytes } from "node:crypto";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { mockClient } from "aws-sdk-client-mock";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { settings } from "../../lib/config.ts";
import { grantLoader } from "../../lib/ledger/loader-role.ts";
import { inTransaction } from "../../lib/postgres/transaction.ts";
import { openDatabase } from "../../lib/wiring.ts";
import { sampleLoaded, stageSample } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";

/** D11: a secret that is rotated after it was read. */

const role = `loader_${randomBytes(4).toString("hex")}`;
const other = `${role}_clone`;
const secrets = mockClient(SecretsManagerClient);
const DB_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:loader-AbCdEf";

let flow: Flow;
let admin: postgres.Sql;
beforeAll(async () => {
  flow = await openFlow({ variables: { DB_AUTH: "secret", DB_SECRET_ARN } });
  admin = postgres(flow.database.server.adminUrl, { database: flow.database.name, max: 1, onnotice: () => {} });
  for (const name of [role, other]) await grantLoader(admin, { role: name, schema: "public" });
});
beforeEach(() => secrets.reset());
afterAll(async () => {
  for (const name of [role, other]) await admin.unsafe(`drop owned by ${name}; drop role ${name}`);
  await admin.end();
  await flow.close();
});

const toSecret = (username: string, password: string) => ({ SecretString: JSON.stringify({ username, password }) });
const reads = (): number => secrets.commandCalls(GetSecretValueCommand).length;

async function rotate(name = role): Promise<string> {
  const password = randomBytes(12).toString("hex");
  await admin.unsafe(`alter role ${name} login password '${password}'`);
  return password;
}

const whoAmI = async (): Promise<string | undefined> => {
  const sql = await openDatabase(settings());
  try {
    const [row] = await inTransaction(sql, {}, (tx) => tx<{ name: string }[]>`select current_user as name`);
    return row?.name;
  } finally {
    await sql.end();
  }
};

test("the password of before is refused, the secret is read once more, and the load goes through", async () => {
  const before = await rotate();
  const after = await rotate();
  secrets.on(GetSecretValueCommand).resolvesOnce(toSecret(role, before)).resolves(toSecret(role, after));
  const batch = await stageSample(flow);
  const { status, states } = await flow.run({ batchId: batch.id });
  expect(status).toBe("SUCCEEDED");
  expect(states.filter((state) => state === "ValidateBatch" || /blocked/i.test(state))).toEqual(["ValidateBatch"]);
  expect(await batch.probe()).toEqual(sampleLoaded);
});

test("a rotation that changes the user, too", async () => {
  const before = await rotate();
  await rotate();
  secrets
    .on(GetSecretValueCommand)
    .resolvesOnce(toSecret(role, before))
    .resolves(toSecret(other, await rotate(other)));
  expect(await whoAmI()).toBe(other);
  expect(reads()).toBe(2);
});

test("a login that is refused twice is blocked, and the secret is read no third time", async () => {
  await rotate();
  secrets.on(GetSecretValueCommand).resolves(toSecret(role, "wrong"));
  await expect(whoAmI()).rejects.toMatchObject({ name: "BlockedError", code: "DB_AUTH" });
  expect(reads()).toBe(2);
});

test("a login that is taken needs no second look", async () => {
  secrets.on(GetSecretValueCommand).resolves(toSecret(role, await rotate()));
  expect(await whoAmI()).toBe(role);
  expect(reads()).toBe(1);
});
