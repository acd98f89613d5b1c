import type { CliIo } from "./cli-io.ts";
import type { Connection } from "./connect.ts";
import type { CliOptions } from "./options.ts";

/** A command with everything it needs. */
export type Command = { readonly connection: Connection; readonly io: CliIo; readonly options: CliOptions };

/** What a dry run and a load have in common: whether failed batches are taken up again. */
export type LoadAction = "load" | "retry";
