import { setTimeout as pause } from "node:timers/promises";
import type { Act } from "../faults/lab/exchanges.ts";
import type { Lab } from "../faults/lab/lab.ts";
import { testerName } from "../support/database.ts";
import { persist } from "./persist.ts";
import type { FaultKind, PlannedFault } from "./plan.ts";

/** What happens in the middle of an exchange; anything else happens beside it. */
const acts: Readonly<Partial<Record<FaultKind, Act>>> = {
  "worker killed before an effect": "kill-before",
  "worker killed after an effect": "kill-after",
  "request lost": "reset-before",
  "reply lost": "reset-after",
};

/** Waits for its exchange, and does it. Answers false where it met nothing that it could have been done to. */
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

const backendPatienceMilliseconds = 60_000;

/** One of the loader's, by SIGKILL: the server ends all others with it, and recovers. */
async function killBackend({ sql, server }: Lab): Promise<boolean> {
  const until = Date.now() + backendPatienceMilliseconds;
  while (Date.now() < until) {
    const [backend] = await persist(
      () => sql<{ pid: number }[]>`
      select pid from pg_stat_activity
      where datname = current_database() and application_name <> ${testerName} and backend_type = 'client backend'
      order by xact_start nulls last limit 1`,
    );
    // until it has recovered: PostgreSQL 18 does not come to an end when it is stopped in the middle of that
    if (backend && (await server.killBackends([backend.pid]))) return true;
    await pause(10);
  }
  return false;
}

/** As long as so many requests went to the bucket, or nothing asks for anything any more. */
async function whileExchanges({ network }: Lab, count: number): Promise<void> {
  const until = network.exchanges.seen.length + count;
  const deadline = Date.now() + 3_000;
  while (network.exchanges.seen.length < until && Date.now() < deadline) await pause(50);
}
