import { Command as CommanderCommand, Option } from "commander";
import type { Command, ProgramPorts } from "./connect.ts";
import { runDoctor } from "./doctor-command.ts";
import { approveBatch, loadBatch } from "./load-command.ts";
import { addLocalCommands } from "./local-command.ts";
import { type CliOptions, checkBatchId, parseCount, parseTable } from "./options.ts";
import { CliError, type ExitCode, exitCodeHelp } from "./outcomes.ts";
import { showPreview } from "./preview-command.ts";
import { listBatches, showStatus } from "./status-command.ts";

type Run = (command: Command, batchId: string) => Promise<ExitCode>;

const largestBatchSize = 1_000_000;

const helpEnd = `
Where the loader is: --function or OPERATE_FUNCTION names the deployed operate function (invoked by IAM); --local is
the local environment that runs in this folder (table-loader local). With neither, a running local one is used.

Without a command: --batch-id X previews, with --approve it records the approval and loads.

${exitCodeHelp}`;

/** All commands and flags of the CLI; each command has a file of its own. */
export function createProgram(ports: ProgramPorts): CommanderCommand {
  const program = new CommanderCommand("table-loader")
    .description("Loads batches of validated fragments into database tables: exactly once, every record explained.")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: (text) => ports.io.out(text.trimEnd()), writeErr: () => {} })
    .addHelpText("after", helpEnd);
  addWithoutCommand(program, ports);
  for (const { name, text, run, flags } of batchCommands) {
    const command = program.command(name).description(text);
    command.argument("<batch>", "batch id, for example batch_20260101_120000");
    for (const add of flags) add(command);
    addWhere(command).action((batchId: string, options: CliOptions) => act(ports, options, batchId, run));
  }
  addWhere(program.command("batches").description("list the batches that are known or lie in staging")).action(
    (options: CliOptions) => act(ports, options, null, listBatches),
  );
  addWhere(program.command("doctor").description("find everything that is wrong with the environment, at once")).action(
    async (options: CliOptions) => ports.end(await runDoctor(ports.io, ports.connect, options)),
  );
  addLocalCommands(program, ports);
  // last, since commands inherit it when they are made: only the action without a command names an unknown one itself
  return program.allowExcessArguments();
}

type AddFlags = (command: CommanderCommand) => CommanderCommand;
type BatchCommand = {
  readonly name: string;
  readonly text: string;
  readonly run: Run;
  readonly flags: readonly AddFlags[];
};

const batchCommands: readonly BatchCommand[] = [
  {
    name: "load",
    text: "load an approved batch; on a terminal, shows what would happen and asks first",
    run: (command, batchId) => loadBatch(command, batchId, "load"),
    flags: [addRunFlags, addDryRun, addForce],
  },
  {
    name: "preview",
    text: "show what a load would do to each table, without doing it; needs no approval",
    run: (command, batchId) => showPreview(command, batchId, "load"),
    flags: [addRunFlags],
  },
  {
    name: "approve",
    text: "record the approval of what lies in staging, then load it",
    run: approveBatch,
    flags: [addRunFlags, addApproval],
  },
  {
    name: "retry",
    text: "load a failed batch again, from where its fragments lie; what lies in staging comes first",
    run: (command, batchId) => loadBatch(command, batchId, "retry"),
    flags: [addRunFlags, addDryRun, addForce],
  },
  { name: "status", text: "show state, tables, approvals and attempts of a batch", run: showStatus, flags: [] },
];

async function act(ports: ProgramPorts, options: CliOptions, batchId: string | null, run: Run): Promise<void> {
  const { io, connect, end } = ports;
  const id = batchId === null ? "" : checkBatchId(batchId);
  const connection = await connect(options, io);
  try {
    end(await run({ connection, io, options }, id));
  } finally {
    connection.close();
  }
}

function addRunFlags(command: CommanderCommand): CommanderCommand {
  return command
    .option("--table, --table-name <name>", "only this table; may be given several times", parseTable)
    .option("--batch-size <records>", "records per chunk", (text) => parseCount(text, largestBatchSize))
    .addOption(
      new Option("--strategy <name>", "instead of the contract's").choices(["upsert", "insert_only", "update_only"]),
    )
    .addOption(
      new Option("--target-warehouse <name>", "instead of the contract's").choices([
        "postgres",
        "redshift",
        "snowflake",
      ]),
    );
}

function addDryRun(command: CommanderCommand): CommanderCommand {
  return command
    .option("--dry-run", "preview instead of loading (default: the setting DRY_RUN)")
    .option("--no-dry-run", "load, whatever DRY_RUN says");
}

function addForce(command: CommanderCommand): CommanderCommand {
  return command.option("--force", "do not ask; it stands in for no approval").option("--yes", "the same as --force");
}

function addApproval(command: CommanderCommand): CommanderCommand {
  return command
    .option("--by <name>", "who approves (default: the user of this machine)")
    .option("--no-load", "record the approval, and leave the load to the next arrival or sweep");
}

function addWhere(command: CommanderCommand): CommanderCommand {
  return command
    .option("--local", "use the local environment that runs in this folder")
    .option("--function <name-or-arn>", "use the deployed stack by its operate function")
    .option("--json", "write one JSON document to stdout");
}

/** Adds the form without a command: `table-loader --batch-id X [--approve | --dry-run]`. */
function addWithoutCommand(program: CommanderCommand, ports: ProgramPorts): void {
  program
    .option("--batch-id <batch>", "preview this batch")
    .option("--approve", "with --batch-id: record the approval and load")
    .option("--by <name>", "with --approve: who approves");
  addWhere(addForce(addRunFlags(program)))
    .option("--dry-run", "with --batch-id: preview, as without it")
    .action((options: CliOptions, command: CommanderCommand) => {
      const [unknown] = command.args;
      if (unknown !== undefined) throw new CliError("USAGE", unknownCommand(command, unknown));
      if (options.approve && options.dryRun) {
        throw new CliError("USAGE", "--approve and --dry-run: got both, expected one; a dry run needs no approval");
      }
      if (options.batchId === undefined) {
        throw new CliError("USAGE", "no command: expected one, or --batch-id; see table-loader --help");
      }
      const run: Run = options.approve ? approveBatch : (given, batchId) => showPreview(given, batchId, "load");
      return act(ports, options, options.batchId, run);
    });
}

function unknownCommand(program: CommanderCommand, got: string): string {
  const known = program.commands.map((command) => command.name()).join(", ");
  return `command ${JSON.stringify(got)}: expected one of ${known}`;
}
