import { join } from "node:path";
import { executionInput } from "../core/execution.ts";
import { stagingPrefixOf } from "../core/keys.ts";
import { CliError } from "./cli-error.ts";
import type { CliIo } from "./cli-io.ts";
import { type Connect, localDirectory } from "./connect.ts";
import { type ExitCode, exitCodeOf, exitCodes } from "./exit-codes.ts";
import { runExecution } from "./follow.ts";

const approvedBy = "local seed";

export type SeedOptions = { readonly count: number; readonly json?: boolean };

/** Loads subjects that a batch of one's own can refer to, and writes example files. */
export async function seedLocal(io: CliIo, connect: Connect, { count, json }: SeedOptions): Promise<ExitCode> {
  const directory = join(io.directory, localDirectory);
  const [{ putLocalObject, requireLocalEnvironment }, { experimentParents }, { writeExamples }, { seedText }] =
    await Promise.all([
      import("../local/local-objects.ts"),
      import("../local/sample/experiment.ts"),
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
    await connection.operate({ operation: "approve", batchId, approvedBy });
    const outcome = await runExecution(connection, executionInput.parse({ batchId }), io);
    const exitCode = exitCodeOf(outcome);
    if (exitCode === exitCodes.success) return;
    const reason = "code" in outcome ? `${outcome.code}: ${outcome.message}` : outcome.result.status;
    throw new CliError("SEED_FAILED", `subjects of ${batchId} were not loaded: ${reason}`, exitCode);
  } finally {
    connection.close();
  }
}

/** `batch_20260101_120000` of a time, in UTC. */
export function batchIdAt(time: Date): string {
  const digits = time.toISOString().replaceAll(/[-:]/g, "");
  return `batch_${digits.slice(0, 8)}_${digits.slice(9, 15)}`;
}
