import { overrideEnvironment } from "../config.ts";
import type { LocalBucket } from "./bucket.ts";
import type { LocalEnvironmentInfo } from "./environment-file.ts";
import { machineArn } from "./interpreter.ts";
import type { LocalPostgres } from "./postgres.ts";

export type Places = {
  readonly database: Pick<LocalPostgres, "host" | "port" | "database" | "user" | "password">;
  readonly bucket: LocalBucket;
  readonly machinePort: number;
  readonly logLevel: string;
};

/** The settings that point a process at the environment. */
export function toVariables({ database, bucket, machinePort, logLevel }: Places): Record<string, string> {
  return {
    DB_HOST: database.host,
    DB_PORT: String(database.port),
    DB_NAME: database.database,
    DB_USER: database.user,
    DB_PASSWORD: database.password,
    DB_AUTH: "password",
    DB_TLS: "off",
    S3_BUCKET: bucket.name,
    S3_VERSIONING: "disabled",
    AWS_REGION: bucket.region,
    LOCAL_ENDPOINT: bucket.endpoint,
    LOCAL_MACHINE_ENDPOINT: `http://127.0.0.1:${machinePort}`,
    STATE_MACHINE_ARN: machineArn(bucket.region),
    ARRIVALS_QUEUE_URL: bucket.arrivals.url,
    DEAD_LETTER_QUEUE_URL: bucket.deadLetters.url,
    LOG_LEVEL: logLevel,
  };
}

export function urlOf({ host, port, user, password, database }: Places["database"]): string {
  return `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
}

/** Points this process's handlers at an environment that another process has open. */
export function attachLocalEnvironment(info: LocalEnvironmentInfo): void {
  overrideEnvironment(info.variables);
}
