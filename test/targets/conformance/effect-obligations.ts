import { expect } from "vitest";
import { column, content, keyedBy, type Obligation, one, sorted } from "./obligation.ts";
import type { LoadReport } from "./target-under-test.ts";

/** All or nothing, once, and accounted for (P1, P2, P5). */

const numbered = (from: number, count: number): object[] =>
  Array.from({ length: count }, (_, index) => ({ k: from + index, n: from + index }));

/** Read is the sum of everything else. */
function balanceOf({ counts }: LoadReport, table: string): number {
  const { read = 0, ...fates } = counts[table] ?? {};
  return read - Object.values(fates).reduce((sum, count) => sum + count, 0);
}

/** Names that would be something else where they are not quoted. */
const oddNames = [
  'quo"ted',
  "Upper",
  "select",
  "with space",
  "semi;colon--",
  "$1",
  "ünïcödé 🜁",
  "back\\slash",
  "apo'strophe",
];

export const effectObligations: readonly Obligation[] = [
  {
    name: "D5: a preview says what the load then does, and leaves nothing",
    fulfil: async (target) => {
      await target.createTable(keyedBy("foreseen", [column("n", "integer")]));
      await target.load(
        one("foreseen", {}, [
          { k: 1, n: 1 },
          { k: 2, n: 2 },
        ]),
      );
      const fine = one("foreseen", {}, [
        { k: 1, n: 5 },
        { k: 2, n: 2 },
        { k: 3, n: 3 },
        { k: 3, n: 3 },
      ]);
      const broken = one("foreseen", {}, [{ k: 1, n: "x" }, { k: 2, n: 3 }, { k: 4 }, { k: 4, n: 1 }]);
      for (const batch of [broken, fine]) {
        const before = await sorted(target, "foreseen", ["k", "n"]);
        const { status: _, ...foreseen } = await target.preview(batch);
        expect(await sorted(target, "foreseen", ["k", "n"])).toEqual(before);
        const { status: __, ...loaded } = await target.load(batch);
        expect(foreseen).toEqual(loaded);
      }
      expect(await sorted(target, "foreseen", ["k", "n"])).toEqual([
        ["1", "5"],
        ["2", "2"],
        ["3", "3"],
      ]);
    },
  },
  {
    name: "P2: read is the sum of what became of the records, over several fragments",
    fulfil: async (target) => {
      await target.createTable(keyedBy("balanced", [column("n", "integer")]));
      await target.load(one("balanced", {}, numbered(1, 10)));
      const fragments = [
        numbered(1, 5),
        [...numbered(3, 3), { k: 6, n: 0 }],
        [{ k: 20, n: "x" }, { k: null }],
        numbered(30, 4),
      ];
      const loaded = await target.load(one("balanced", {}, ...fragments));
      expect(loaded.counts["balanced"]).toEqual({
        read: 15,
        loaded: 4,
        updated: 1,
        unchanged: 5,
        collapsed: 3,
        failed: 2,
      });
      expect(balanceOf(loaded, "balanced")).toBe(0);
    },
  },
  {
    name: "T09: nothing is visible of any table where one of them fails",
    fulfil: async (target) => {
      for (const name of ["all_a", "all_b", "all_c"]) await target.createTable(keyedBy(name, [column("n", "integer")]));
      const good = content({}, numbered(1, 3));
      const bad = content({}, [
        { k: 1, n: 1 },
        { k: 2, n: "x" },
      ]);
      const loaded = await target.load({ all_a: good, all_b: bad, all_c: good });
      expect(loaded.status).toBe("rejected");
      for (const name of ["all_a", "all_b", "all_c"]) expect(await sorted(target, name, ["k"])).toEqual([]);
      expect(loaded.counts).toEqual({
        all_a: { read: 3, loaded: 3 },
        all_b: { read: 2, loaded: 1, failed: 1 },
        all_c: { read: 3, loaded: 3 },
      });
    },
  },
  {
    name: "S10: a fragment without records loads nothing, and is no fault",
    fulfil: async (target) => {
      await target.createTable(keyedBy("emptied", []));
      const loaded = await target.load(one("emptied", {}, "[]"));
      expect([loaded.status, loaded.counts["emptied"], loaded.rejects]).toEqual(["committed", {}, []]);
    },
  },
  {
    name: "E7: the same records again change nothing",
    fulfil: async (target) => {
      await target.createTable(keyedBy("again", [column("n", "integer"), column("t", "text")]));
      const batch = one("again", { conflict_resolution: "replace" }, [...numbered(1, 50), { k: 99, n: null, t: "x" }]);
      await target.load(batch);
      expect((await target.load(batch)).counts["again"]).toEqual({ read: 51, unchanged: 51 });
    },
  },
  {
    name: "X01: names are only ever names",
    fulfil: async (target) => {
      for (const name of oddNames) {
        const columns = [column(`k ${name}`, "integer"), column(name, "text", { default: name })];
        await target.createTable({ name, columns, key: [`k ${name}`] });
        const batch = one(name, { natural_key: [`k ${name}`] }, [
          { [`k ${name}`]: 1 },
          { [`k ${name}`]: 2, [name]: "x" },
        ]);
        expect((await target.load(batch)).counts[name]).toEqual({ read: 2, loaded: 2 });
        const changed = one(name, { natural_key: [`k ${name}`] }, [{ [`k ${name}`]: 2, [name]: "y" }]);
        expect((await target.load(changed)).counts[name]).toEqual({ read: 1, updated: 1 });
        expect(await sorted(target, name, [`k ${name}`, name])).toEqual([
          ["1", name],
          ["2", "y"],
        ]);
      }
    },
  },
  {
    name: "rows that were staged and are lost before the commit are staged again",
    fulfil: async (target) => {
      await target.createTable(keyedBy("lost", [column("n", "integer")]));
      const loaded = await target.load(one("lost", {}, numbered(1, 20), numbered(21, 20)), { loseStaging: true });
      expect([loaded.status, loaded.restaged, loaded.counts["lost"]]).toEqual([
        "committed",
        true,
        { read: 40, loaded: 40 },
      ]);
      expect(await target.rows("lost", ["k"])).toHaveLength(40);
    },
  },
  {
    name: "C02, C04: loads of the same rows at once all succeed, and each row is there once",
    needs: ["concurrent loads"],
    fulfil: async (target) => {
      await target.createTable(keyedBy("contended", [column("n", "integer")]));
      const loads = await Promise.all([1, 2, 3].map(() => target.load(one("contended", {}, numbered(1, 200)))));
      expect(loads.map(({ status }) => status)).toEqual(["committed", "committed", "committed"]);
      expect(loads.map((load) => balanceOf(load, "contended"))).toEqual([0, 0, 0]);
      expect(loads.reduce((sum, { counts }) => sum + (counts["contended"]?.["loaded"] ?? 0), 0)).toBe(200);
      expect(await target.rows("contended", ["k"])).toHaveLength(200);
    },
  },
  {
    name: "a batch of several fragments and thousands of records arrives whole",
    fulfil: async (target) => {
      await target.createTable(keyedBy("whole", [column("n", "integer")]));
      const loaded = await target.load(one("whole", {}, numbered(1, 3000), numbered(3001, 2500)));
      expect(loaded.counts["whole"]).toEqual({ read: 5500, loaded: 5500 });
      const rows = await target.rows("whole", ["n"]);
      expect(rows.reduce((sum, [n]) => sum + Number(n), 0)).toBe((5500 * 5501) / 2);
    },
  },
];
