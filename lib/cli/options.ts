import { InvalidArgumentError } from "commander";
import { settings } from "../config.ts";
import { badBatchId, type ExecutionInput, executionInput, isBatchId } from "../core/execution.ts";
import { CliError } from "./outcomes.ts";

/** Flags as commander passes them. */
export type CliOptions = {
  readonly batchId?: string;
  readonly approve?: boolean;
  readonly dryRun?: boolean;
  /** Values of `--table` and `--table-name`: commander names both flags after the longer one. */
  readonly tableName?: readonly string[];
  readonly batchSize?: number;
  readonly strategy?: ExecutionInput["strategy"];
  readonly targetWarehouse?: ExecutionInput["targetWarehouse"];
  /** `--force` or `--yes`: do not ask. It does not replace an approval. */
  readonly force?: boolean;
  readonly yes?: boolean;
  readonly by?: string;
  /** False with `--no-load`. */
  readonly load?: boolean;
  readonly json?: boolean;
  readonly local?: boolean;
  readonly function?: string;
};

/** @throws CliError if the id does not match the pattern, before any call is made */
export function checkBatchId(batchId: string): string {
  const { batchIdPattern } = settings();
  if (isBatchId(batchId, batchIdPattern)) return batchId;
  const { code, message } = badBatchId(batchId, batchIdPattern);
  throw new CliError(code, `${message}, for example batch_20260101_120000`);
}

/** Makes the input of an execution; several `--table` are one list. */
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
