import type { CliIo } from "./cli-io.ts";
import type { Connect } from "./connect.ts";
import type { ExitCode } from "./exit-codes.ts";

export type ProgramPorts = {
  readonly io: CliIo;
  readonly connect: Connect;
  /** Gets what the process shall end with. */
  readonly end: (code: ExitCode) => void;
};
