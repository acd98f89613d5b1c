import { type Ending, endingOf, type HeldBatch } from "../core/healing.ts";
import { guarded, isOver, record, type Sweeping, start } from "./sweeping.ts";

/**
 * Loads whose execution is gone. A lease that runs says nothing of that, so Step Functions is asked: what would
 * otherwise stand still until the lease ends goes on at once, and what was ended on purpose is not begun again.
 */
export async function healLoads(sweeping: Sweeping): Promise<void> {
  const { watch } = sweeping.ports;
  for (const held of await watch.held("ended")) {
    if (isOver(sweeping)) return;
    await guarded(sweeping, () => takeOver(sweeping, held));
  }
  for (const held of await watch.held("running")) {
    if (isOver(sweeping)) return;
    await guarded(sweeping, () => resume(sweeping, held));
  }
}

const leaseExpired: Ending = {
  kind: "LEASE_EXPIRED",
  detail: "the lease ended, and nothing had been heard of its execution since",
  fault: null,
};

/** Whatever its execution does, and whether that can be found out, its time is over. */
async function takeOver(sweeping: Sweeping, held: HeldBatch): Promise<void> {
  let ending: Ending | null = null;
  await guarded(sweeping, async () => {
    if (!held.marked) ending = await readEnding(sweeping, held);
  });
  await restart(sweeping, held, isFault(ending) ? ending : leaseExpired);
}

const isFault = (ending: Ending | null): ending is Ending => ending !== null && ending.fault !== null;

async function resume(sweeping: Sweeping, held: HeldBatch): Promise<void> {
  const ending = await readEnding(sweeping, held);
  if (ending) await restart(sweeping, held, ending);
}

async function readEnding({ ports }: Sweeping, { owner, state }: HeldBatch): Promise<Ending | null> {
  return owner === null ? null : endingOf({ owner, state }, await ports.executions.find(owner));
}

async function restart(sweeping: Sweeping, held: HeldBatch, { kind, detail, fault }: Ending): Promise<void> {
  const { batchId, state, visits } = held;
  if (!(await sweeping.ports.watch.free(held, fault))) return;
  if (await start(sweeping, batchId, visits)) await record(sweeping, { batchId, kind, detail: `${detail} (${state})` });
}
