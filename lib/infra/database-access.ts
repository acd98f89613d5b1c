import type { Construct } from "constructs";
import type { LoaderContext } from "./context.ts";
import { type DatabaseNetwork, existingNetwork } from "./database-network.ts";

/** How functions reach the database, new or existing. */
export type DatabaseAccess = {
  readonly host: string;
  /** A text, since the port of a new database is a token. */
  readonly port: string;
  readonly name: string;
  /** The user of the loader. */
  readonly user: string;
  readonly tls: "verify" | "off";
  /** Tokens signed by IAM for the RDS resource id, or user and password from a secret. */
  readonly login: { readonly iamResourceId: string } | { readonly secretArn: string };
  /** Read by migrate alone: it owns the control tables. */
  readonly adminSecretArn: string;
  /** Where the functions sit. @default - outside any VPC */
  readonly network?: DatabaseNetwork;
};

/** An existing database, as the context describes it. */
export function existingDatabase(scope: Construct, context: LoaderContext): DatabaseAccess {
  const { databaseHost, databaseSecretArn, databaseLoaderSecretArn, databaseResourceId } = context;
  if (databaseHost === undefined || databaseSecretArn === undefined) {
    throw new Error("context: databaseHost, got none, expected the host of an existing database; set databaseHost");
  }
  const network = existingNetwork(scope, context);
  return {
    host: databaseHost,
    port: String(context.databasePort),
    name: context.databaseName,
    user: context.databaseUser,
    tls: context.databaseTls,
    login:
      databaseResourceId === undefined
        ? { secretArn: databaseLoaderSecretArn ?? databaseSecretArn }
        : { iamResourceId: databaseResourceId },
    adminSecretArn: databaseSecretArn,
    ...(network && { network }),
  };
}
