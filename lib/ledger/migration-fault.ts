import { classifyDatabaseError } from "../core/classify-error.ts";
import { BlockedError, LoaderError, parseFault } from "../core/errors.ts";

/** Where the migrations were to run. */
export type MigrationPlace = { readonly host: string; readonly port: number; readonly name: string };

const unreachable = "it cannot be reached; check databaseHost, databasePort and the network of the functions";

/**
 * Runs a deployment's migrations. Nothing repeats a deployment by itself, and its output shows the message alone: so it
 * says which database, and that somebody has to deploy again.
 *
 * @throws BlockedError with the code of what went wrong
 */
export async function explainingFault<T>(place: MigrationPlace, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const fault = error instanceof LoaderError ? error : classifyDatabaseError(error);
    if (fault === null) throw error;
    const { code, message } = parseFault(fault.message, fault.code);
    const reason = code === "DB_UNAVAILABLE" ? unreachable : message.replace("; it is tried again", "");
    const text = `database ${place.name} at ${place.host}:${place.port}: ${reason}; then deploy again`;
    throw new BlockedError(code, text, { cause: error });
  }
}
