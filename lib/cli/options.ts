import { InvalidArgumentError } from "commander";
import { settings } from "../config.ts";
import { badBatchId, type ExecutionInput, executionInput, isBatchId } from "../core/execution.ts";
import { CliError } from "./outcomes.ts";

/** Flags as commander hands them over. */
export type CliOptions = {
  readonly batchId?: string;
  readonly approve?: boolean;
  readonly dryRun?: boolean;
  /** Of `--table`, too: commander names the two after the longer one. */
  readonly tableName?: readonly string[];
  readonly batchSize?: number;
  readonly strategy?: ExecutionInput["strategy"];
  readonly targetWarehouse?: ExecutionInput["targetWarehouse"];
  /** `--force` or `--yes`: nobody is asked. It never stands in for an approval. */
  readonly force?: boolean;
  readonly yes?: boolean;
  readonly by?: string;
  /** False with `--no-load`. */
  readonly load?: boolean;
  readonly json?: boolean;
  readonly local?: boolean;
  readonly function?: string;
};

/** @throws CliError before anything is called */
export function checkBatchId(batchId: string): string {
  const { batchIdPattern } = settings();
  if (isBatchId(batchId, batchIdPattern)) return batchId;
  const { code, message } = badBatchId(batchId, batchIdPattern);
  throw new CliError(code, `${message}, for example batch_20260101_120000`);
}

/** The input of an execution; `--table` given twice is one list. */
export function toExecutionInput(
  batchId: string,
  options: CliOptions,
  run: { readonly action: "load" | "retry"; readonly dryRun: boolean },
): ExecutionInput {
  const { tableName, batchSize, strategy, targetWarehouse } = options;
  return executionInput.parse({
    batchId: checkBatchId(batchId),
    ...run,
    ...(tableName ? { tables: [...new Set(tableName)] } : {}),
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(strategy === undefined ? {} : { strategy }),
    ...(targetWarehouse === undefined ? {} : { targetWarehouse }),
  });
}

const longestTableName = 63;

export function parseTable(name: string, earlier: readonly string[] = []): string[] {
  if (name.length > 0 && name.length <= longestTableName) return [...earlier, name];
  throw new InvalidArgumentError(`expected a table name of 1 to ${longestTableName} characters.`);
}

export function parseCount(text: string, most: number): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= most) return count;
  throw new InvalidArgumentError(`expected a whole number from 1 to ${most}.`);
}
