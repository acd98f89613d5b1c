import { afterAll, beforeAll, expect, test } from "vitest";
import { TransientError } from "../../lib/core/errors.ts";
import { type Loaded, openTarget, type TargetBench } from "../targets/support.ts";

let target: TargetBench;
beforeAll(async () => {
  target = await openTarget();
  await target.sql.unsafe(`
    create table alpha (id text primary key, value integer, writes integer default 0);
    create table beta (id text primary key, value integer, writes integer default 0);
    -- without a unique index on its key, so that a commit locks all of it
    create table gamma (id text, value integer, writes integer default 0);
    create function count_write() returns trigger language plpgsql as
      $$ begin new.writes = coalesce(old.writes, 0) + 1; return new; end $$;
    create trigger counted before insert or update on alpha for each row execute function count_write();
    create trigger counted before insert or update on beta for each row execute function count_write();
    create trigger counted before insert or update on gamma for each row execute function count_write()`);
});
afterAll(() => target.close());

const contract = { natural_key: ["id"], exclude_fields: ["writes"] };
const guarded = ["alpha", "beta"];
const withUnguarded = [...guarded, "gamma"];
const keys = Array.from({ length: 10 }, (_, index) => `K${index}`);
const rounds = 500;

type Meeting = { readonly names: readonly string[]; readonly value: number };
type Order = (list: readonly string[]) => string[];

/** Every row of every table gets a new value; the tables and the records in the order given. */
function load({ names, value }: Meeting, order: Order): Promise<Loaded> {
  const records = order(keys).map((id) => ({ id, value }));
  return target.load(Object.fromEntries(order(names).map((name) => [name, { contract, fragments: [records] }])));
}

/** As the machine does: a conflict is tried again as a whole, and is no deadlock. */
async function untilLoaded(meeting: Meeting, order: Order): Promise<number> {
  for (let conflicts = 0; ; conflicts += 1) {
    try {
      const loaded = await load(meeting, order);
      expect(loaded).toMatchObject({ outcome: "committed", rejected: 0 });
      return conflicts;
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      expect(error.details.sqlState).toBe("40001");
    }
  }
}

/** Answers how many conflicts there were. */
async function meet(names: readonly string[], times: number): Promise<number> {
  let conflicts = 0;
  for (let round = 0; round < times; round += 1) {
    const both = await Promise.all([
      untilLoaded({ names, value: 2 * round }, (list) => [...list]),
      untilLoaded({ names, value: 2 * round + 1 }, (list) => list.toReversed()),
    ]);
    conflicts += both[0] + both[1];
  }
  return conflicts;
}

test(`loads that touch the same tables in opposite order never deadlock, in ${rounds} rounds`, async () => {
  const conflicts = await meet(guarded, rounds / 2);
  // they did meet: otherwise this would show nothing
  expect(conflicts).toBeGreaterThan(0);
  expect(await meet(withUnguarded, rounds / 2)).toBe(0);
  const [server] = await target.sql<{ deadlocks: number }[]>`
    select deadlocks::integer from pg_stat_database where datname = current_database()`;
  expect(server).toEqual({ deadlocks: 0 });
  for (const name of withUnguarded) {
    const loads = guarded.includes(name) ? 2 * rounds : rounds;
    expect(await target.rows(name, "id, writes"), name).toEqual(keys.map((id) => [id, String(loads)]));
  }
}, 300_000);
