import { decideBatch } from "../core/decide.ts";
import { type Executions, executionInput } from "../core/execution.ts";
import { isBatchId } from "../core/execution-input.ts";
import { stagingPrefix } from "../core/keys.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { BatchInLedger, BatchRecords, Gauges, Log, Retention, Sweeps } from "../core/ports.ts";
import { metricNames } from "../core/states.ts";
import { readFacts } from "./facts.ts";
import { surveyStaging } from "./survey.ts";

/**
 * sweep: finds what no event will move any more (ended leases, missed events, late approvals and parts, orphaned
 * staging) and starts it again. Its cost follows what lies in staging, not the archive.
 */

export type SweepPorts = {
  readonly sweeps: Sweeps;
  readonly records: BatchRecords;
  readonly store: ObjectStore;
  readonly executions: Pick<Executions, "start">;
  readonly log: Log;
  readonly gauges: Gauges;
  readonly newId: () => string;
  readonly settings: Retention & { readonly batchIdPattern: RegExp; readonly requireApproval: boolean };
};

export type SweepAnswer = {
  readonly ran: boolean;
  readonly started: readonly string[];
  readonly dropped: number;
  readonly stalled: number;
  readonly blocked: number;
};

const nothing: SweepAnswer = { ran: false, started: [], dropped: 0, stalled: 0, blocked: 0 };

export async function sweep(ports: SweepPorts): Promise<SweepAnswer> {
  const owner = ports.newId();
  if (!(await ports.sweeps.begin(owner))) return nothing;
  try {
    const gauges = await ports.sweeps.gauges();
    ports.gauges.emit({ [metricNames.stalledLoads]: gauges.stalled, [metricNames.blockedLoads]: gauges.blocked });
    const interrupted = await ports.sweeps.interrupted();
    const started: string[] = [];
    const dropped = await ports.sweeps.dropOrphans();
    await ports.sweeps.forgetOld(ports.settings);
    for (const { batchId, visits } of interrupted) started.push(await start(ports, batchId, visits));
    // What is wrong with one batch is thrown at the end: the others are looked at first.
    const faults: unknown[] = [];
    for await (const batchId of ports.store.folders(stagingPrefix)) {
      if (started.includes(batchId) || !isBatchId(batchId, ports.settings.batchIdPattern)) continue;
      const batch = await readyToStart(ports, batchId).catch((error: unknown) => {
        faults.push(error);
        return null;
      });
      if (batch) started.push(await start(ports, batchId, batch.visits));
    }
    if (faults.length > 0) throw faults[0];
    return { ran: true, started, dropped, ...gauges };
  } finally {
    await ports.sweeps.end(owner);
  }
}

/**
 * The name repeats as long as nobody has claimed the batch since, so that an execution that is on its way is enough;
 * one that found the batch busy has counted a wake, and the next sweep starts another.
 */
async function start({ executions, log }: SweepPorts, batchId: string, visits: number): Promise<string> {
  const input = executionInput.parse({ batchId, source: "sweep" });
  const { executionArn, duplicate } = await executions.start(`${batchId}-sweep-${visits}`, input);
  log.info("sweep started a batch", { batchId, executionArn, duplicate });
  return batchId;
}

const unknownBatch: BatchInLedger = { state: "waiting", epoch: 1, visits: 0, leased: false, waitingHours: null };
const noticeHours = 24;

/** Decides as ValidateBatch will, so that a batch that only waits costs no execution. */
async function readyToStart(ports: SweepPorts, batchId: string): Promise<BatchInLedger | null> {
  const batch = (await ports.sweeps.inLedger(batchId)) ?? unknownBatch;
  if (batch.leased) return null;
  const facts = await readFacts(ports, { batchId, ...batch }, await surveyStaging(ports.store, batchId));
  const decision = decideBatch(facts, executionInput.parse({ batchId, source: "sweep" }));
  if (decision.do === "load" || decision.do === "compare") return batch;
  if (batch.waitingHours !== null && batch.waitingHours > noticeHours && decision.do === "wait") {
    ports.log.warn("batch waits for more than a day", { batchId, code: decision.code });
  }
  return null;
}
