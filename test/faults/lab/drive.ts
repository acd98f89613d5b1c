import type { CrashPoint } from "../../../lib/core/ports.ts";
import { randomExecutionName } from "../../../lib/local/interpreter.ts";
import type { TestBatch } from "../../support/batches.ts";
import { expireLease, sweepOnce } from "../../support/crash.ts";
import type { Lab } from "./lab.ts";
import type { Death } from "./sandboxes.ts";

/** Runs the machine on a batch until something that the test has ordered kills a sandbox. */

type Crashing = {
  readonly input?: object;
  /** Orders the death, after everything is ready for it. */
  readonly order: () => void;
  /**
   * What becomes of the execution: it goes on and tries the task again, or it is lost with its machine, and the lease
   * has to end before anybody takes over.
   */
  readonly execution: "goes on" | "is lost";
};

/** Answers how the sandbox died, when none of its connections is left. Its execution has not gone on yet. */
export async function crash(lab: Lab, { id }: TestBatch, crashing: Crashing): Promise<Death & { goOn(): void }> {
  const held = lab.sandboxes.holdDeaths();
  crashing.order();
  const { arn } = lab.machine.start(randomExecutionName(), JSON.stringify({ batchId: id, ...crashing.input }));
  const ended = lab.machine.settle(arn).then(({ status, cause }) => {
    throw new Error(`the execution ended as ${status} before anything died: ${cause}`);
  });
  ended.catch(() => undefined);
  try {
    const death = await Promise.race([held.first, ended]);
    if (crashing.execution === "is lost") {
      lab.loseMachine();
      held.release();
      await lab.quiet();
    }
    return { ...death, goOn: held.release };
  } catch (error) {
    held.release();
    throw error;
  }
}

/** The same, at a named point. */
export function crashAt(
  lab: Lab,
  batch: TestBatch,
  { point, time = 1, execution = "is lost" }: { point: CrashPoint; time?: number; execution?: Crashing["execution"] },
): Promise<Death & { goOn(): void }> {
  return crash(lab, batch, { order: () => void lab.sandboxes.order({ point, time }), execution });
}

const mostSweeps = 6;

/** Every execution ends; then leases end and sweeps come until nothing is left to do. Answers how many it took. */
export async function finish(lab: Lab, batch: TestBatch): Promise<number> {
  for (let sweeps = 0; sweeps <= mostSweeps; sweeps += 1) {
    await Promise.all(lab.machine.list().map(({ arn }) => lab.machine.settle(arn)));
    await lab.quiet();
    if (await isSettled(lab, batch)) return sweeps;
    await expireLease(lab, batch);
    // a sweep that died holds its lease, too
    await lab.sql`update table_loader.leases set lease_until = now() - interval '1 second'`;
    // and so does a place in the waiting line
    await lab.sql`update table_loader.line set expires_at = now() - interval '1 second' where batch_id = ${batch.id}`;
    await sweepOnce(lab);
  }
  throw new Error(`batch ${batch.id} is not settled after ${mostSweeps} sweeps`);
}

async function isSettled({ sql }: Lab, { id }: TestBatch): Promise<boolean> {
  const [row] = await sql<{ settled: boolean }[]>`
    select state in ('loaded', 'failed') and owner is null as settled from table_loader.batches where batch_id = ${id}`;
  return row?.settled ?? false;
}
