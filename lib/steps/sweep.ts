import type { SweepGauges } from "../core/sweep-ports.ts";
import { checkContracts } from "./check-contracts.ts";
import { clearLeftovers } from "./clear-leftovers.ts";
import { healLoads } from "./heal-loads.ts";
import { startReady } from "./start-ready.ts";
import { guarded, type SweepContext, type SweepPorts } from "./sweep-context.ts";
import { walkArchive } from "./walk-archive.ts";

/**
 * sweep: finds what no event will move any more, and starts it again. What is broken comes first; staging and archive
 * are walked a bounded way in each sweep, so that neither can keep the others waiting.
 */

export type SweepAnswer = Pick<SweepContext, "started" | "healed"> & {
  readonly ran: boolean;
  readonly stalled: number;
  readonly blocked: number;
};

const nothing: SweepAnswer = { ran: false, started: [], healed: {}, stalled: 0, blocked: 0 };

/** Less than the sweep's own lease, and than the time between two sweeps. */
const longestSeconds = 240;
/** What was begun has to end in it. */
const reserveSeconds = 60;

/** @param deadline milliseconds since the epoch, when this invocation ends */
export async function sweep(ports: SweepPorts, _event: unknown, deadline: number): Promise<SweepAnswer> {
  const owner = ports.newId();
  const end = Math.min(deadline, ports.now() + longestSeconds * 1000) - reserveSeconds * 1000;
  if (!(await ports.sweeps.begin(owner))) return nothing;
  try {
    const { stalled, blocked } = await measureLoads(ports);
    const context: SweepContext = { ports, end, started: [], healed: {}, faults: [] };
    for (const part of [healLoads, checkContracts, clearLeftovers, walkArchive, startReady]) {
      await guarded(context, () => part(context));
    }
    const { started, healed, faults } = context;
    if (faults.length > 0) throw faults[0];
    return { ran: true, started, healed, stalled, blocked };
  } finally {
    await ports.sweeps.end(owner);
  }
}

async function measureLoads({ sweeps, gauges }: SweepPorts): Promise<SweepGauges> {
  const current = await sweeps.gauges();
  gauges.emit({
    Sweeps: 1,
    StalledLoads: current.stalled,
    BlockedLoads: current.blocked,
    BatchesWaiting: current.waiting,
    BatchesInLine: current.inLine,
    WorkItemsPending: current.pendingItems,
    SecondsSinceCheckpoint: current.secondsSinceCheckpoint,
    ConnectionsUsed: current.connectionsUsed,
    Deadlocks: current.deadlocks,
  });
  return current;
}
