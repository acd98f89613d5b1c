import { maxConnectionsOf } from "./capacity.ts";
import type { LoaderContext } from "./context.ts";

/** Values that follow from others where the context does not say them. */

export function maxConnections(context: LoaderContext): number {
  // PostgreSQL's own default, where nobody said what an existing server allows.
  const unsaid = context.databaseHost === undefined ? maxConnectionsOf(databaseInstance(context)) : 100;
  return context.maxConnections ?? unsaid;
}

export function databaseInstance(context: LoaderContext): string {
  return context.databaseInstance ?? (context.stage === "prod" ? "m7g.large" : "t4g.medium");
}

/** `rds`, `system`, or the path of a PEM file. */
export function databaseAuthorities({ databaseCa, databaseHost }: LoaderContext): string {
  const isRds = databaseHost === undefined || /\.rds\.amazonaws\.com$/.test(databaseHost);
  return databaseCa ?? (isRds ? "rds" : "system");
}
