import { expect } from "vitest";
import { errorNames } from "../../../lib/core/errors.ts";
import * as driver from "./drive.ts";
import { column, content, keyedBy, type Obligation, one, sorted } from "./obligation.ts";
import type { TargetUnderTest } from "./target-under-test.ts";

/** Taking back what a batch wrote (B12): all of it or nothing, and never what others wrote since. */

const numbers = [column("n", "integer"), column("t", "text")];
const columns = ["k", "n", "t"];
const before = [
  { k: 1, n: 1, t: "one" },
  { k: 2, n: 2 },
  { k: 3, n: 3, t: "three" },
];
const beforeRows = [
  ["1", "1", "one"],
  ["2", "2", null],
  ["3", "3", "three"],
];
const after = [
  { k: 1, n: 10, t: null },
  { k: 2, n: 2, t: "two" },
  { k: 3, n: 3 },
  { k: 4, n: 4 },
];

/** A table with three rows, and a batch that has inserted one, changed two and left one alone. */
async function committed(target: TargetUnderTest, table: string): Promise<driver.Delivery> {
  await target.createTable(keyedBy(table, numbers));
  await target.load(one(table, {}, before));
  const delivery = await target.stage(one(table, { conflict_resolution: "replace" }, after));
  const loaded = await driver.commit(delivery);
  expect(loaded.counts[table]).toEqual({ read: 4, loaded: 1, updated: 2, unchanged: 1 });
  return delivery;
}

export const undoObligations: readonly Obligation[] = [
  {
    name: "undo: new rows go, changed rows are what they were, by whichever instance",
    needs: ["undo"],
    fulfil: async (target) => {
      const delivery = await committed(target, "undone");
      await driver.discard(delivery);
      const undone = await driver.undo({ ...driver.takeOver(delivery), asker: target.open() });
      expect(undone).toEqual({ outcome: "done", rows: { undone: 3 } });
      expect(await sorted(target, "undone", columns)).toEqual(beforeRows);
    },
  },
  {
    name: "undo: a row that was changed since is a conflict, and nothing of any table is taken back",
    needs: ["undo"],
    fulfil: async (target) => {
      for (const name of ["kept_a", "kept_b"]) await target.createTable(keyedBy(name, numbers));
      const batch = {
        kept_a: content({}, [{ k: 1, n: 1 }]),
        kept_b: content({}, [
          { k: 1, n: 1 },
          { k: 2, n: 2 },
        ]),
      };
      const delivery = await target.stage(batch);
      await driver.commit(delivery);
      await target.load(one("kept_b", {}, [{ k: 2, n: 3 }]));
      const refused = await driver.undo(delivery);
      const conflict = { table: "kept_b", key: "2", reason: expect.any(String) };
      expect(refused).toEqual({ outcome: "rejected", conflicts: [conflict] });
      expect(await target.rows("kept_a", ["k", "n"])).toEqual([["1", "1"]]);
      expect(await sorted(target, "kept_b", ["k", "n"])).toEqual([
        ["1", "1"],
        ["2", "3"],
      ]);
      await target.load(one("kept_b", {}, [{ k: 2, n: 2 }]));
      expect(await driver.undo(delivery)).toEqual({ outcome: "done", rows: { kept_a: 1, kept_b: 2 } });
      expect([...(await target.rows("kept_a", ["k"])), ...(await target.rows("kept_b", ["k"]))]).toEqual([]);
      await driver.discard(delivery);
    },
  },
  {
    name: "undo: what is undone twice is taken back once",
    needs: ["undo"],
    fulfil: async (target) => {
      const delivery = await committed(target, "undone_twice");
      await driver.undo(delivery);
      // as another batch, so that the rows are just what the first undo took back
      await target.load(one("undone_twice", { conflict_resolution: "replace" }, after));
      const rows = await sorted(target, "undone_twice", columns);
      expect(rows).toHaveLength(4);
      await driver.undo(driver.takeOver(delivery)).catch(() => null);
      expect(await sorted(target, "undone_twice", columns)).toEqual(rows);
      await driver.discard(delivery);
    },
  },
  {
    name: "P4: an older fence may neither undo nor commit once a newer one has undone",
    needs: ["undo", "own commits"],
    fulfil: async (target) => {
      const older = await committed(target, "undone_by_another");
      await driver.undo(driver.takeOver(older));
      const stale = { name: errorNames.staleFence };
      await expect(driver.submitLate(older)).rejects.toMatchObject(stale);
      await expect(driver.undo(older)).rejects.toMatchObject(stale);
      expect(await sorted(target, "undone_by_another", columns)).toEqual(beforeRows);
      await driver.discard(older);
    },
  },
  {
    name: "undo: the batch can be loaded again in its next epoch",
    needs: ["undo"],
    fulfil: async (target) => {
      const delivery = await committed(target, "loaded_again");
      await driver.undo(delivery);
      const { batchId } = delivery.run;
      const again = await target.stage(one("loaded_again", {}, after), { batchId, epoch: 2 });
      expect((await driver.commit(again)).counts["loaded_again"]).toEqual({
        read: 4,
        loaded: 1,
        updated: 2,
        unchanged: 1,
      });
      expect(await driver.undo(again)).toEqual({ outcome: "done", rows: { loaded_again: 3 } });
      expect(await sorted(target, "loaded_again", columns)).toEqual(beforeRows);
      for (const one of [delivery, again]) await driver.discard(one);
    },
  },
];
