import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { Signer } from "@aws-sdk/rds-signer";
import { z } from "zod";
import { classifyAwsError } from "../core/classify-error.ts";
import { BlockedError, TransientError } from "../core/errors.ts";
import { parseJson } from "../core/json.ts";
import { type ServiceAddress, toClientConfig } from "./client-config.ts";

/** RDS puts more members into its secrets; host and port come from the settings. */
const secretText = z.object({ username: z.string().min(1), password: z.string().min(1) });

type DatabaseLogin = Readonly<z.infer<typeof secretText>>;

/**
 * Reads the login from Secrets Manager at every call, since a login that is kept may have been rotated.
 *
 * @throws BlockedError DB_AUTH, which never quotes the secret; TransientError if Secrets Manager does not answer
 */
export async function readDatabaseSecret(options: ServiceAddress & { secretArn: string }): Promise<DatabaseLogin> {
  const client = new SecretsManagerClient(toClientConfig(options));
  return fetchLogin(client, options.secretArn).finally(() => client.destroy());
}

async function fetchLogin(client: SecretsManagerClient, secretArn: string): Promise<DatabaseLogin> {
  const parsed = secretText.safeParse(parseJson(await fetchText(client, secretArn)));
  if (parsed.success) return parsed.data;
  // without a cause: a parser's message may quote the secret
  const text = `secret ${secretArn}: expected JSON with the texts "username" and "password", got something else; store it so`;
  throw new BlockedError("DB_AUTH", text);
}

async function fetchText(client: SecretsManagerClient, SecretId: string): Promise<string> {
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId }));
    return SecretString ?? "";
  } catch (error) {
    const fault = classifyAwsError(error, `secret ${SecretId}`);
    if (fault instanceof TransientError) throw fault;
    const name = error instanceof Error ? error.name : "unknown";
    const text = `secret ${SecretId}: cannot be read (${name}); check DB_SECRET_ARN (of a deployment: databaseSecretArn) and the role's permissions`;
    throw new BlockedError("DB_AUTH", text, { name, cause: error });
  }
}

type TokenOptions = { readonly host: string; readonly port: number; readonly user: string; readonly region: string };

/**
 * Signs a password for one login, without a call to RDS. It is valid for 15 minutes, and only over TLS.
 *
 * @throws BlockedError DB_AUTH; TransientError if the credentials cannot be fetched
 */
export async function signDatabaseToken(options: TokenOptions): Promise<string> {
  const { host: hostname, port, user: username, region } = options;
  try {
    return await new Signer({ hostname, port, username, region }).getAuthToken();
  } catch (error) {
    const fault = classifyAwsError(error, `login of ${username} at ${hostname}`);
    if (fault instanceof TransientError) throw fault;
    const text = `login of ${username} at ${hostname}: no token could be signed; check the role's credentials`;
    throw new BlockedError("DB_AUTH", text, { cause: error });
  }
}
