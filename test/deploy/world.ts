import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { CreateSecretCommand } from "@aws-sdk/client-secrets-manager";
import postgres from "postgres";
import { applySampleSchema } from "../../lib/local/environment.ts";
import { type LocalPostgres, openPostgres } from "../../lib/local/postgres.ts";
import { makeTemporaryDirectory } from "../../lib/local/postgres-process.ts";
import { openClients } from "./clients.ts";
import { type Emulator, type EmulatorOptions, startEmulator } from "./emulator.ts";
import { bootstrap, type Cdk, type Context } from "./stack.ts";

/** What a deployment needs to be there before it: an account, a database, and the secret of its user. */
export type World = Cdk & {
  readonly emulator: Emulator;
  readonly database: LocalPostgres;
  /** Of the database's owner, who migrates. */
  readonly secretArn: string;
  /** Of the role that loads, which the migration makes. */
  readonly loaderSecretArn: string;
  stopDatabase(): Promise<void>;
  /** At the same address, with everything that was in it. */
  startDatabase(): Promise<void>;
  close(): Promise<void>;
};

/** @param options of the emulator */
export async function openWorld(options: Pick<EmulatorOptions, "guarded"> = {}): Promise<World> {
  const folder = await makeTemporaryDirectory();
  const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 5 })];
  const close = async (): Promise<void> => {
    for (const step of closing.toReversed()) await step();
  };
  try {
    await mkdir(join(folder, "emulator"));
    const emulator = await startEmulator({ folder: join(folder, "emulator"), ...options });
    closing.push(emulator.close);
    const database = await openPostgres(databaseOptions(folder));
    let running: LocalPostgres | null = database;
    const stopDatabase = async (): Promise<void> => {
      await running?.close();
      running = null;
    };
    const startDatabase = async (): Promise<void> => {
      running = await openPostgres({ ...databaseOptions(folder), port: database.port });
    };
    closing.push(stopDatabase);
    await applySampleSchema(database);
    await allowRoles(database);
    const { user, password } = database;
    const secretArn = await storeLogin(emulator, "database", { username: user, password });
    const login = { username: "table_loader_functions", password: randomUUID() };
    const loaderSecretArn = await storeLogin(emulator, "database-loader", login);
    await bootstrap({ emulator, folder });
    return { emulator, folder, database, secretArn, loaderSecretArn, stopDatabase, startDatabase, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Nothing here has to survive a crash. */
function databaseOptions(folder: string) {
  return { dataDir: join(folder, "postgres"), parameters: { fsync: "off", max_connections: "100" } };
}

/** As the master user of RDS may: migrate makes the loader's role. */
async function allowRoles({ adminUrl, user }: LocalPostgres): Promise<void> {
  const sql = postgres(adminUrl, { max: 1, onnotice: () => {} });
  await sql`alter role ${sql(user)} createrole`.finally(() => sql.end());
}

type Login = { readonly username: string; readonly password: string };

async function storeLogin(emulator: Emulator, Name: string, login: Login): Promise<string> {
  const command = new CreateSecretCommand({ Name, SecretString: JSON.stringify(login) });
  const { ARN } = await openClients(emulator).secrets.send(command);
  return ARN ?? "";
}

/** The context that names the world's database. */
export function contextOf({
  database,
  secretArn,
  loaderSecretArn,
}: Pick<World, "database" | "secretArn" | "loaderSecretArn">): Context {
  return {
    stage: "dev",
    databaseHost: database.host,
    databasePort: database.port,
    databaseName: database.database,
    databaseSecretArn: secretArn,
    databaseLoaderSecretArn: loaderSecretArn,
    databaseTls: "off",
  };
}
