import postgres from "postgres";
import { stagingPrefixOf } from "../../core/keys.ts";
import { type TaskState, taskStates } from "../../core/machine.ts";
import type { Operate } from "../../core/operations.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { RecordCounts } from "../../core/report.ts";
import { operateInProcess } from "../attached-operate.ts";
import { type LocalEnvironment, openLocalEnvironment } from "../environment.ts";
import type { MachineEvent } from "../interpreter.ts";
import type { SampleFragment } from "../sample/values.ts";
import { watchExecutions } from "../watch-executions.ts";

type Column = { readonly title: string; readonly align?: "left" | "right" };

/** The output of the demo; the CLI passes its own tables. */
export type DemoIo = {
  readonly say: (text: string) => void;
  readonly counts: (
    tables: Readonly<Record<string, RecordCounts & { readonly load_time_seconds?: number }>>,
    total: RecordCounts & { readonly total_time_seconds?: number },
  ) => string;
  readonly table: (columns: readonly Column[], rows: readonly (readonly string[])[]) => string;
  /** Ends the demo early. */
  readonly stop: AbortSignal;
};

/** A temporary environment, with what a validator and an operator do in it. */
export type Stage = {
  readonly environment: LocalEnvironment;
  readonly sql: postgres.Sql;
  readonly operate: Operate;
  /** Writes the rows of validation_queue, then the fragments, as the validator does. */
  drop(batchId: string, fragments: readonly SampleFragment[], approved: boolean): Promise<void>;
  put(batchId: string, fragment: SampleFragment): Promise<void>;
  /** Waits for the next execution of the batch that ends in one of these ways; call it before the cause. */
  next(batchId: string, ...kinds: readonly Outcome["kind"][]): Promise<Outcome>;
  close(): Promise<void>;
};

export async function openStage(io: DemoIo): Promise<Stage> {
  const waiters = new Set<{ batchId: string; kinds: readonly Outcome["kind"][]; resolve(outcome: Outcome): void }>();
  const watch = watchExecutions(({ batchId, outcome }) => {
    const waiter = [...waiters].find((each) => each.batchId === batchId && each.kinds.includes(outcome.kind));
    if (waiter) waiters.delete(waiter);
    waiter?.resolve(outcome);
  });
  const writeStep = stepWriter(io);
  const environment = await openLocalEnvironment({
    directory: null,
    logLevel: "SILENT",
    onEvent: (event) => {
      watch.onEvent(event);
      if (event.kind === "step") writeStep(event.step);
    },
  });
  watch.attach(environment);
  const sql = postgres(environment.databaseUrl, { max: 1, onnotice: () => {} });
  const put: Stage["put"] = (batchId, { fileName, body }) =>
    environment.bucket.put(
      `${stagingPrefixOf(batchId)}${fileName}`,
      typeof body === "string" ? body : new Uint8Array(body),
    );
  return {
    environment,
    sql,
    operate: operateInProcess,
    put,
    async drop(batchId, fragments, approved) {
      await queue(sql, batchId, [...new Set(fragments.map(({ table }) => table))], approved);
      for (const fragment of fragments) await put(batchId, fragment);
    },
    next: (batchId, ...kinds) => waitFor(io, (resolve) => waiters.add({ batchId, kinds, resolve })),
    async close() {
      await sql.end({ timeout: 1 });
      await environment.close();
    },
  };
}

async function queue(sql: postgres.Sql, batchId: string, tables: string[], approved: boolean): Promise<void> {
  await sql`
    insert into validation_queue
      (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
    select ${batchId}, t.table_name, 'validated', ${approved}, ${approved ? "validator" : null},
           case when ${approved} then clock_timestamp() end
    from unnest(${tables}::text[]) as t(table_name)
  `;
}

const patienceSeconds = 120;

function waitFor(io: DemoIo, register: (resolve: (outcome: Outcome) => void) => void): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const late = new Error(`DEMO_TIMEOUT: nothing came of the batch in ${patienceSeconds} seconds`);
  const timer = setTimeout(() => reject(late), patienceSeconds * 1000);
  const stopped = (): void => reject(new Error("DEMO_STOPPED: stopped before the end"));
  io.stop.addEventListener("abort", stopped);
  register(resolve);
  return promise.finally(() => {
    clearTimeout(timer);
    io.stop.removeEventListener("abort", stopped);
  });
}

/** Writes a line when an execution first enters a state, but not for ValidateBatch: it may find nothing to load. */
function stepWriter({ say }: DemoIo): (step: MachineEvent) => void {
  const told = new Map<string, { readonly start: number; readonly states: Set<string> }>();
  return ({ type, state, executionArn, at }) => {
    if (type !== "entered" || !(state in taskStates)) return;
    const execution = told.get(executionArn) ?? { start: at.getTime(), states: new Set() };
    told.set(executionArn, execution);
    if (execution.states.has(state)) return;
    execution.states.add(state);
    const seconds = ((at.getTime() - execution.start) / 1000).toFixed(1).padStart(5);
    if (taskStates[state as TaskState] !== taskStates.ValidateBatch) say(`  ${seconds} s  ${state}`);
  };
}
