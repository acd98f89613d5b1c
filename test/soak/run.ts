import { setTimeout as pause } from "node:timers/promises";
import { randomExecutionName } from "../../lib/local/interpreter.ts";
import { brokenInvariants, evidenceOf } from "../faults/lab/invariants.ts";
import type { Lab } from "../faults/lab/lab.ts";
import type { TestBatch } from "../support/batches.ts";
import { deliver, deliverAgain } from "./batches.ts";
import { persist, strike } from "./faults.ts";
import { type BatchKind, planSoak, type SoakPlan, type SoakSize } from "./plan.ts";

export type SoakFigures = {
  readonly seed: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly kills: number;
  readonly batches: number;
  readonly loaded: number;
  readonly failed: number;
  /** Batches that made no progress until a person had them tried again. */
  readonly retried: number;
  readonly rows: number;
  /** Batches that are neither loaded nor failed, though nothing disturbs them any more. */
  readonly stuck: readonly string[];
  /** Seconds between the last fault that met a batch and its end. */
  readonly longestRecovery: number;
  /** Batches that ended otherwise than they have to. */
  readonly wrong: readonly string[];
  /** By rule of the checker, what breaks it. */
  readonly broken: Readonly<Record<string, readonly unknown[]>>;
  readonly seconds: number;
};

const inFlight = 4;
const pollMilliseconds = 200;
/** Much more than a lease and a few sweeps. */
const patienceMilliseconds = 180_000;

type Flight = {
  readonly batch: TestBatch;
  readonly kind: BatchKind;
  /** When a fault met it last. */
  met: number | null;
  deliveries: number;
  /** The execution of the latest retry by hand. */
  retry: string | null;
};

type Soak = {
  readonly lab: Lab;
  /**
   * Asks no catalog when it connects: the driver leaves an error of that question to nobody, and servers die here all the
   * time.
   */
  readonly sql: Lab["sql"];
  readonly base: string;
  readonly flights: Map<string, Flight>;
  readonly struck: Record<string, number>;
  readonly wrong: string[];
  readonly retried: Set<string>;
  fed: number;
  landedAt: number;
  longestRecovery: number;
  faultsLeft: number;
};

/** Runs a soak to its end, and says what came of it; it judges nothing. */
export async function runSoak(lab: Lab, size: SoakSize): Promise<SoakFigures> {
  const started = Date.now();
  const plan = planSoak(size);
  const sql = lab.database.connect({ fetch_types: false });
  const base = await deliver({ lab, sql }, "new rows", { number: 0, base: "" });
  await lab.run({ batchId: base.id });
  const soak: Soak = {
    lab,
    sql,
    base: base.prefix,
    flights: new Map(),
    struck: {},
    wrong: [],
    retried: new Set(),
    fed: 0,
    landedAt: Date.now(),
    longestRecovery: 0,
    faultsLeft: plan.faults.length,
  };
  const sweeps = openSweeps(soak);
  const striking = strikeAll(soak, plan);
  // thrown below, when nothing is fed any more; told now, as a server that stays away fails whatever comes before that
  striking.catch((error: unknown) => console.error("a fault could not strike", error));
  await feed(soak, plan.batches);
  await striking;
  await lab.network.heal();
  await landAll(soak);
  await sweeps.close();
  await lab.quiet();
  return figuresOf(soak, size, started);
}

/** Faults that may strike before the batches they are meant for have landed: some three for each in flight. */
const mostAhead = 12;

/**
 * One fault after the other; who is on the way when it strikes has met it. They are spread over the batches: struck
 * without a break, the first few would never land. Where one cannot strike, no other is left.
 */
async function strikeAll(soak: Soak, { faults, batches }: SoakPlan): Promise<void> {
  try {
    for (const [index, fault] of faults.entries()) {
      const due = ((index - mostAhead) * batches.length) / faults.length;
      while (soak.fed - soak.flights.size < due && !isStuck(soak)) await pause(pollMilliseconds);
      const struck = await strike({ ...soak.lab, sql: soak.sql }, fault);
      for (const flight of soak.flights.values()) flight.met = Date.now();
      if (struck) soak.struck[fault.kind] = (soak.struck[fault.kind] ?? 0) + 1;
      soak.faultsLeft -= 1;
      if (soak.faultsLeft % progressEvery === 0) tellProgress(soak, faults.length);
    }
  } finally {
    soak.faultsLeft = 0;
  }
}

const progressEvery = 50;

function tellProgress({ lab, fed, faultsLeft }: Soak, faults: number): void {
  console.log(
    `${faults - faultsLeft} of ${faults} faults, ${lab.sandboxes.deaths.length} processes killed, ${fed} batches`,
  );
}

const isStuck = ({ landedAt }: Soak): boolean => Date.now() - landedAt > patienceMilliseconds;

/** Keeps a few batches on their way until all are fed and every fault has struck, or no batch comes to an end any more. */
async function feed(soak: Soak, kinds: readonly BatchKind[]): Promise<void> {
  while ((soak.fed < kinds.length || soak.faultsLeft > 0) && !isStuck(soak)) {
    await land(soak);
    if (soak.flights.size < inFlight) await launch(soak, kinds[soak.fed % kinds.length] ?? "new rows");
    else await pause(pollMilliseconds);
  }
}

async function launch(soak: Soak, kind: BatchKind): Promise<void> {
  soak.fed += 1;
  const batch = await deliver(soak, kind, { number: soak.fed, base: soak.base });
  soak.flights.set(batch.id, { batch, kind, met: null, deliveries: 1, retry: null });
  announce(soak.lab);
}

/** Hands over what has arrived; where start-load is killed, the messages come again, and the sweep finds the batch. */
function announce(lab: Lab): void {
  void lab.arrivals().catch(() => undefined);
}

async function landAll(soak: Soak): Promise<void> {
  const deadline = Date.now() + patienceMilliseconds;
  while (soak.flights.size > 0 && Date.now() < deadline) {
    await land(soak);
    await pause(pollMilliseconds);
  }
}

type FlightState = { readonly batch_id: string; readonly state: string; readonly code: string | null };

/** Takes the batches that have come to an end out of the air. */
async function land(soak: Soak): Promise<void> {
  const ids = [...soak.flights.keys()];
  if (ids.length === 0) return;
  const ended = await persist(
    () => soak.sql<FlightState[]>`
      select b.batch_id, b.state,
             (select a.code from table_loader.attempts a where a.batch_id = b.batch_id order by a.fence desc limit 1) as code
      from table_loader.batches b
      where b.batch_id in ${soak.sql(ids)} and b.owner is null and b.state in ('loaded', 'failed')`,
  );
  for (const standing of ended) {
    const flight = soak.flights.get(standing.batch_id);
    if (flight && (await hasLanded(soak, flight, standing))) touchDown(soak, flight, standing);
  }
}

async function hasLanded(soak: Soak, flight: Flight, { state, code }: FlightState): Promise<boolean> {
  const { lab } = soak;
  const { batch, kind } = flight;
  if (code === "LOAD_NO_PROGRESS") {
    retryByHand(soak, flight);
    return false;
  }
  if (kind !== "delivered twice" || state !== "loaded") return true;
  if (flight.deliveries === 1) {
    flight.deliveries = 2;
    await deliverAgain(lab, batch);
    announce(lab);
    return false;
  }
  return (await persist(() => lab.current(batch.key("")))).length === 0;
}

/**
 * Killed three times without a checkpoint in between: that is for a person to look at, who then retries; and again only
 * when that has ended without success, or is lost.
 */
function retryByHand({ lab, retried }: Soak, flight: Flight): void {
  if (flight.retry !== null && lab.machine.find(flight.retry)?.status === "RUNNING") return;
  const input = JSON.stringify({ batchId: flight.batch.id, action: "retry" });
  flight.retry = lab.machine.start(randomExecutionName(), input).arn;
  retried.add(flight.batch.id);
}

function touchDown(soak: Soak, flight: Flight, { state, code }: FlightState): void {
  const { batch, kind, met } = flight;
  soak.flights.delete(batch.id);
  soak.landedAt = Date.now();
  const expected = kind === "broken record" ? "failed" : "loaded";
  if (state !== expected) soak.wrong.push(`${batch.id} (${kind}) ended ${state} ${code ?? ""}`);
  if (met !== null) soak.longestRecovery = Math.max(soak.longestRecovery, (Date.now() - met) / 1000);
}

const sweepMilliseconds = 1_000;

/** The schedule. A sweep that was killed holds its lease for some minutes, which the soak does not wait for. */
function openSweeps({ lab, sql }: Soak): { close(): Promise<void> } {
  let closing = false;
  const loop = async (): Promise<void> => {
    while (!closing) {
      await lab.invoke("sweep").catch(() => undefined);
      await persist(() => sql`delete from table_loader.leases where name = 'sweep'`);
      await pause(sweepMilliseconds);
    }
  };
  const looping = loop();
  return {
    close: async () => {
      closing = true;
      await looping;
    },
  };
}

/** Each batch with what the ledger says of it. */
async function standingsOf({ sql }: Lab, batchIds: readonly string[]): Promise<string[]> {
  const rows = await sql<{ batch: string; standing: string | null }[]>`
    select named.batch_id as batch, b.state || coalesce(', held by ' || b.owner, '') || coalesce(', ' || b.reason_code, '') as standing
    from unnest(${batchIds as string[]}::text[]) as named(batch_id) left join table_loader.batches b using (batch_id)`;
  return rows.map(({ batch, standing }) => `${batch}: ${standing ?? "unknown to the ledger"}`);
}

async function figuresOf(soak: Soak, size: SoakSize, started: number): Promise<SoakFigures> {
  const { lab, struck, wrong, retried, longestRecovery, flights } = soak;
  const [counts] = await lab.sql<{ loaded: number; failed: number; rows: number }[]>`
    select (select count(*) from table_loader.batches where state = 'loaded')::integer as loaded,
           (select count(*) from table_loader.batches where state = 'failed')::integer as failed,
           (select coalesce(sum((counts->>'records_loaded')::bigint + (counts->>'records_updated')::bigint), 0)
            from table_loader.commits)::integer as rows`;
  return {
    seed: size.seed,
    faults: struck,
    kills: lab.sandboxes.deaths.length,
    // and the base batch
    batches: soak.fed + 1,
    loaded: counts?.loaded ?? 0,
    failed: counts?.failed ?? 0,
    retried: retried.size,
    rows: counts?.rows ?? 0,
    stuck: await standingsOf(lab, [...flights.keys()]),
    wrong,
    longestRecovery: Math.round(longestRecovery * 10) / 10,
    broken: await brokenInvariants(evidenceOf(lab)),
    seconds: Math.round((Date.now() - started) / 1000),
  };
}
