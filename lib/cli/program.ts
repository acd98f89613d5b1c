import { Argument, Command as CommanderCommand, Option } from "commander";
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

/** All commands and flags; what they do stands in a file per command. */
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
    addBatchArgument(command);
    for (const add of flags) add(command);
    addWhere(command).action((batchId: string, options: CliOptions) => act(ports, { options, batchId, run }));
  }
  addWhere(program.command("batches").description("list the batches that are known or lie in staging")).action(
    (options: CliOptions) => act(ports, { options, batchId: null, run: listBatches }),
  );
  addWhere(program.command("doctor").description("find everything that is wrong with the environment, at once")).action(
    async (options: CliOptions) => ports.end(await runDoctor(ports.io, ports.connect, options)),
  );
  addLocalCommands(program, ports);
  // commands take this over when they are made: only what stands where a command should is looked at by ourselves
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

type Asked = { readonly options: CliOptions; readonly batchId: string | null; readonly run: Run };

async function act({ io, connect, end }: ProgramPorts, { options, batchId, run }: Asked): Promise<void> {
  const id = batchId === null ? "" : checkBatchId(batchId);
  const connection = await connect(options, io);
  try {
    end(await run({ connection, io, options }, id));
  } finally {
    connection.close();
  }
}

function addBatchArgument(command: CommanderCommand): void {
  command.addArgument(new Argument("<batch>", "batch id, for example batch_20260101_120000"));
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

/** `table-loader --batch-id X [--approve | --dry-run]`, as people know it. */
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
      return act(ports, { options, batchId: options.batchId, run });
    });
}

function unknownCommand(program: CommanderCommand, got: string): string {
  const known = program.commands.map((command) => command.name()).join(", ");
  return `command ${JSON.stringify(got)}: expected one of ${known}`;
}
