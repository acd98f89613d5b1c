import { setTimeout as pause } from "node:timers/promises";
import type { Act } from "../faults/lab/exchanges.ts";
import type { Lab } from "../faults/lab/lab.ts";
import { testerName } from "../support/database.ts";
import type { FaultKind, PlannedFault } from "./plan.ts";

/** Faults in the middle of an exchange; all others happen beside it. */
const acts: Readonly<Partial<Record<FaultKind, Act>>> = {
  "worker killed before an effect": "kill-before",
  "worker killed after an effect": "kill-after",
  "request lost": "reset-before",
  "reply lost": "reset-after",
};

/** Waits for the exchange of a fault, and causes it. Answers false if there was nothing to hit. */
export async function strike(lab: Lab, { kind, afterExchanges }: PlannedFault): Promise<boolean> {
  const { exchanges } = lab.network;
  const number = exchanges.seen.length + afterExchanges;
  const when = (exchange: { number: number; by: string | null }): boolean =>
    exchange.number >= number && exchange.by !== null;
  await exchanges.on({ when, act: acts[kind] ?? (async () => undefined) });
  return (await beside[kind]?.(lab)) !== false;
}

const slowDowns = 6;
const cutBodies = 3;

const beside: Readonly<Partial<Record<FaultKind, (lab: Lab) => Promise<unknown>>>> = {
  "backend killed": killBackend,
  "server crashed": async (lab) => {
    await lab.loseDatabase("crash");
    await lab.restoreDatabase();
  },
  "server killed": async (lab) => {
    await lab.loseDatabase("kill");
    await lab.restoreDatabase();
  },
  "server stopped for a while": async (lab) => {
    await lab.loseDatabase("stop");
    await whileExchanges(lab, slowDowns);
    await lab.restoreDatabase();
  },
  "executions lost": async (lab) => lab.loseMachine(),
  "S3 asks to slow down": async ({ network }) => {
    network.s3.on({ when: () => true, answer: { status: 503, code: "SlowDown" }, times: slowDowns });
  },
  "S3 body cut": async ({ network }) => {
    const when = (asked: string): boolean => asked.startsWith("GET") && asked.includes("versionId");
    network.s3.on({ when, answer: { bodyBytes: 40, ending: "reset" }, times: cutBodies });
  },
};

const patienceMilliseconds = 60_000;

/** One of the loader's, by SIGKILL: the server ends all others with it, and recovers. */
async function killBackend({ sql, server }: Lab): Promise<boolean> {
  const until = Date.now() + patienceMilliseconds;
  while (Date.now() < until) {
    const [backend] = await persist(
      () => sql<{ pid: number }[]>`
      select pid from pg_stat_activity
      where datname = current_database() and application_name <> ${testerName} and backend_type = 'client backend'
      order by xact_start nulls last limit 1`,
    );
    // Waits for the recovery: PostgreSQL 18 does not end if it is stopped in the middle of it.
    if (backend && (await server.killBackends([backend.pid]))) return true;
    await pause(10);
  }
  return false;
}

/** Waits for so many exchanges, or until there are none any more. */
async function whileExchanges({ network }: Lab, count: number): Promise<void> {
  const until = network.exchanges.seen.length + count;
  const deadline = Date.now() + 3_000;
  while (network.exchanges.seen.length < until && Date.now() < deadline) await pause(50);
}

/** Repeats work that may be done twice until it succeeds: the test's own connections die with the server, too. */
export async function persist<T>(work: () => PromiseLike<T>): Promise<T> {
  const deadline = Date.now() + patienceMilliseconds;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(100);
    }
  }
}
