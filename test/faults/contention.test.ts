import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { attemptsOf, queueOf, sampleLoaded, stageSample, type TestBatch } from "../support/batches.ts";
import { expectInvariants } from "./lab/invariants.ts";
import { type Lab, openLab } from "./lab/lab.ts";

/** Others work on the targets, too, and get in the way of a commit. */

let lab: Lab;
beforeAll(async () => {
  lab = await openLab();
});
afterEach(() => lab.network.heal());
afterAll(() => lab.close());

async function expectLoaded(batch: TestBatch): Promise<void> {
  await lab.quiet();
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await queueOf(lab, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  expect(await attemptsOf(lab, batch)).toEqual(["loaded"]);
  await expectInvariants(lab);
  expect(lab.sandboxes.deaths).toEqual([]);
}

/** The errors of CommitBatch, by the tries that it took. */
const commitErrors = (from: number): (string | null)[] =>
  lab.steps
    .slice(from)
    .flatMap(({ state, type, error }) => (state === "CommitBatch" && type === "failed" ? error : []));

/**
 * Somebody keeps all others from writing to the table until `release`, as by making an index; answers the process that
 * does.
 */
async function holdTable(table: string): Promise<{ pid: number; release(): Promise<void> }> {
  const other = lab.database.connect({ max: 1 });
  const [held, released] = [Promise.withResolvers<number>(), Promise.withResolvers<void>()];
  const holding = other.begin(async (tx) => {
    await tx`lock table ${tx(table)} in share mode`;
    const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
    held.resolve(row?.pid ?? 0);
    await released.promise;
  });
  const release = async (): Promise<void> => {
    released.resolve();
    await holding;
  };
  return { pid: await Promise.race([held.promise, holding.then(() => 0)]), release };
}

test("D07 a table is locked for longer than a commit waits: told by whom, tried again, and loaded once", async () => {
  const batch = await stageSample(lab);
  const from = lab.steps.length;
  const holder = Promise.withResolvers<Awaited<ReturnType<typeof holdTable>>>();
  const act = async (): Promise<void> => holder.resolve(await holdTable("blood"));
  void lab.network.exchanges.on({ when: ({ by, text }) => by === "commit-batch" && text === "startup", act });
  const running = lab.run({ batchId: batch.id });
  const { pid, release } = await holder.promise;
  await expect.poll(() => commitErrors(from), { timeout: 60_000 }).not.toEqual([]);
  await release();
  const { status, output, states } = await running;
  expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { attempt: 1, records_loaded: 6 } });
  expect(states).not.toContain("BlockedWait");
  expect(commitErrors(from)).toContain("TransientError");
  expect(lab.sandboxes.output()).toContain(`"code":"DB_LOCK_TIMEOUT"`);
  expect(lab.sandboxes.output()).toContain(`public.blood by process ${pid};`);
  await expectLoaded(batch);
});

test("C04 a commit that cannot be serialized, 40001, is begun anew as a whole, and takes effect once", async () => {
  // a sequence does not go back with the transaction
  await lab.sql.unsafe(`
    create sequence conflicts;
    create function conflict() returns trigger language plpgsql as $$ begin
      if nextval('public.conflicts') = 1 then
        raise exception 'could not serialize access' using errcode = '40001';
      end if;
      return null;
    end $$;
    create trigger conflict before insert on blood for each statement execute function conflict()`);
  const batch = await stageSample(lab);
  const from = lab.steps.length;
  const { status, output, states } = await lab.run({ batchId: batch.id });
  expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { attempt: 1, records_loaded: 6 } });
  expect(states).not.toContain("BlockedWait");
  expect(commitErrors(from)).toEqual(["TransientError"]);
  expect(lab.sandboxes.output()).toContain(`"code":"DB_CONFLICT"`);
  expect([...(await lab.sql`select last_value::integer as inserts from conflicts`)]).toEqual([{ inserts: 2 }]);
  await expectLoaded(batch);
});
