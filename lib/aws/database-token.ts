import { Signer } from "@aws-sdk/rds-signer";
import { classifyAwsError } from "../core/classify-error.ts";
import { BlockedError, TransientError } from "../core/errors.ts";

export type TokenOptions = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly region: string;
};

/** Signs a password for one login: no call, valid for 15 minutes, and only over TLS. */
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
