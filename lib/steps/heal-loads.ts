import { type Ending, endingOf, type HeldBatch } from "../core/sweep-ports.ts";
import { guarded, isOver, record, type SweepContext, start } from "./sweep-context.ts";

/**
 * Loads whose execution is gone. A lease that runs says nothing of that, so Step Functions is asked: what would
 * otherwise stand still until the lease ends goes on at once, and what was ended on purpose is not begun again.
 */
export async function healLoads(context: SweepContext): Promise<void> {
  const { heldBatches } = context.ports;
  for (const held of await heldBatches.held("ended")) {
    if (isOver(context)) return;
    await guarded(context, () => takeOver(context, held));
  }
  for (const held of await heldBatches.held("running")) {
    if (isOver(context)) return;
    await guarded(context, () => resume(context, held));
  }
}

const leaseExpired: Ending = {
  kind: "LEASE_EXPIRED",
  detail: "the lease ended, and nothing had been heard of its execution since",
  fault: null,
};

/** Whatever its execution does, and whether that can be found out, its time is over. */
async function takeOver(context: SweepContext, held: HeldBatch): Promise<void> {
  let ending: Ending | null = null;
  await guarded(context, async () => {
    if (!held.marked) ending = await readEnding(context, held);
  });
  await restart(context, held, isFault(ending) ? ending : leaseExpired);
}

const isFault = (ending: Ending | null): ending is Ending => ending !== null && ending.fault !== null;

async function resume(context: SweepContext, held: HeldBatch): Promise<void> {
  const ending = await readEnding(context, held);
  if (ending) await restart(context, held, ending);
}

async function readEnding({ ports }: SweepContext, { owner, state }: HeldBatch): Promise<Ending | null> {
  return owner === null ? null : endingOf({ owner, state }, await ports.executions.find(owner));
}

async function restart(context: SweepContext, held: HeldBatch, { kind, detail, fault }: Ending): Promise<void> {
  const { batchId, state, visits } = held;
  if (!(await context.ports.heldBatches.free(held, fault))) return;
  if (await start(context, batchId, visits)) await record(context, { batchId, kind, detail: `${detail} (${state})` });
}
