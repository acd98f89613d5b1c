import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Command as CommanderCommand, InvalidArgumentError, Option } from "commander";
import { executionInput } from "../core/execution.ts";
import { stagingPrefixOf } from "../core/keys.ts";
import { type Connect, localDirectory, type ProgramPorts } from "./connect.ts";
import { runExecution } from "./follow.ts";
import { parseCount } from "./options.ts";
import { CliError, type ExitCode, exitCodeOf, exitCodes } from "./outcomes.ts";
import { renderCounts } from "./render-load.ts";
import { type CliIo, textTable } from "./terminal.ts";

type SeedOptions = { readonly count: number; readonly json?: boolean };
type LocalOptions = { readonly logLevel: "DEBUG" | "INFO" | "WARN" | "ERROR" | "SILENT"; readonly json?: boolean };

const defaultSubjects = 10;
const mostSubjects = 9_999;

/** Adds `local` and its commands. Modules of lib/local are imported only when a command runs. */
export function addLocalCommands(program: CommanderCommand, { io, connect, end }: ProgramPorts): void {
  const local = program
    .command("local")
    .description(`run the whole loader on this machine, kept in ${localDirectory}/, until Ctrl-C`)
    .enablePositionalOptions()
    .addOption(
      new Option("--log-level <level>", "what the functions log to stdout")
        .choices(["DEBUG", "INFO", "WARN", "ERROR", "SILENT"])
        .default("SILENT"),
    )
    .option("--json", "write what happens to stderr, and one JSON document at the end to stdout")
    .action((options: LocalOptions) => serve(io, options));
  local
    .command("seed")
    .description("load subjects into the running environment, and write example files")
    .option("--count <subjects>", "how many, at least 10", parseSubjects, defaultSubjects)
    .option("--json", "write one JSON document to stdout")
    .action(async (options: SeedOptions) => end(await seedLocal(io, connect, options)));
  local
    .command("put")
    .description("put a file into the bucket of the running environment, as an uploader would")
    .argument("<file>", "a file of this machine")
    .argument("<key>", "where to, for example staging/validated/batch_20260101_120000/blood.json")
    .option("--json", "write one JSON document to stdout")
    .action((file: string, key: string, options: { json?: boolean }) =>
      put(io, { file, key, json: options.json === true }),
    );
  local
    .command("demo")
    .description("show it all in about a minute: three batches in a temporary environment (npm start)")
    .option("--json", "write what happens to stderr, and one JSON document to stdout")
    .action(async (options: { json?: boolean }) =>
      end((await demo(io, options.json === true)) ? exitCodes.success : exitCodes.failed),
    );
}

function parseSubjects(text: string): number {
  const count = parseCount(text, mostSubjects);
  // the example records refer to the first ten
  if (count < defaultSubjects) throw new InvalidArgumentError(`expected at least ${defaultSubjects}.`);
  return count;
}

async function serve(io: CliIo, { logLevel, json }: LocalOptions): Promise<void> {
  const { serveLocal } = await import("../local/serve.ts");
  const directory = join(io.directory, localDirectory);
  await serveLocal({ directory, logLevel, write: json ? io.note : io.out, stop: io.stop });
  if (json) io.out(JSON.stringify({ directory, status: "closed" }));
}

async function put(io: CliIo, { file, key, json }: { file: string; key: string; json: boolean }): Promise<void> {
  const { putLocalObject, requireLocalEnvironment } = await import("../local/environment-file.ts");
  const environment = await requireLocalEnvironment(join(io.directory, localDirectory));
  const bytes = await readFile(resolve(io.directory, file)).catch((error: NodeJS.ErrnoException) => {
    throw new CliError("FILE_UNREADABLE", `file ${file}: expected one that can be read, got ${error.code}`);
  });
  await putLocalObject(environment, key, new Uint8Array(bytes));
  io.out(json ? JSON.stringify({ file, key, size: bytes.length }) : `put ${file} to ${key} (${bytes.length} bytes)`);
}

async function demo(io: CliIo, json: boolean): Promise<boolean> {
  const { runDemo } = await import("../local/demo/demo.ts");
  const say = json ? io.note : io.out;
  const { agreed, ...summary } = await runDemo({ say, counts: renderCounts, table: textTable, stop: io.stop });
  if (json) io.out(JSON.stringify({ agreed, ...summary }, null, 2));
  return agreed;
}

/** Loads subjects for the user's own batches to refer to, and writes example files. */
async function seedLocal(io: CliIo, connect: Connect, { count, json }: SeedOptions): Promise<ExitCode> {
  const directory = join(io.directory, localDirectory);
  const [{ putLocalObject, requireLocalEnvironment }, { experimentParents }, { writeExamples }, { seedText }] =
    await Promise.all([
      import("../local/environment-file.ts"),
      import("../local/sample/sample-records.ts"),
      import("../local/examples.ts"),
      import("../local/guide.ts"),
    ]);
  const environment = await requireLocalEnvironment(directory);
  const batchId = batchIdAt(new Date());
  const { fileName, body } = experimentParents(count);
  await putLocalObject(environment, `${stagingPrefixOf(batchId)}${fileName}`, String(body));
  await loadSeed(io, connect, batchId);
  const examples = await writeExamples(directory, io.directory);
  if (json) io.out(JSON.stringify({ batch_id: batchId, subjects: count, examples }, null, 2));
  else io.out(`${count} subjects are there, GSID-SEED-0001 and so on (batch ${batchId}).\n${seedText(examples)}`);
  return exitCodes.success;
}

async function loadSeed(io: CliIo, connect: Connect, batchId: string): Promise<void> {
  const connection = await connect({ local: true }, io);
  try {
    await connection.operate({ operation: "approve", batchId, approvedBy: "local seed" });
    const outcome = await runExecution(connection, executionInput.parse({ batchId }), io);
    const exitCode = exitCodeOf(outcome);
    if (exitCode === exitCodes.success) return;
    const reason = "code" in outcome ? `${outcome.code}: ${outcome.message}` : outcome.result.status;
    throw new CliError("SEED_FAILED", `subjects of ${batchId} were not loaded: ${reason}`, exitCode);
  } finally {
    connection.close();
  }
}

/** A batch id of a time, in UTC: `batch_20260101_120000`. */
function batchIdAt(time: Date): string {
  const digits = time.toISOString().replaceAll(/[-:]/g, "");
  return `batch_${digits.slice(0, 8)}_${digits.slice(9, 15)}`;
}
