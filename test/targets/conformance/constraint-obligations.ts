import { expect } from "vitest";
import { column, content, keyedBy, named, type Obligation, one, sorted } from "./obligation.ts";
import type { TargetUnderTest } from "./target-under-test.ts";

/** What the tables themselves demand: every record that breaks it is named, with the constraint. */

const constraintsOf = ({ rejects }: Awaited<ReturnType<TargetUnderTest["load"]>>): (string | null)[] =>
  rejects.map(({ constraint }) => constraint);

export const constraintObligations: readonly Obligation[] = [
  {
    name: "V26: columns that are not null",
    fulfil: async (target) => {
      await target.createTable(keyedBy("demanding", [column("n", "integer", { notNull: true })]));
      const loaded = await target.load(one("demanding", {}, [{ k: 1 }, { k: 2, n: null }, { k: 3, n: 1 }]));
      expect(named(loaded)).toEqual([
        [1, "n", "VALUE_NOT_NULL"],
        [2, "n", "VALUE_NOT_NULL"],
      ]);
    },
  },
  {
    name: "V26: checks",
    needs: ["checks"],
    fulfil: async (target) => {
      const positive = [{ name: "n_is_positive", column: "n" }];
      await target.createTable(keyedBy("checked", [column("n", "integer")], { positive }));
      const loaded = await target.load(one("checked", {}, [{ k: 1, n: -1 }, { k: 2, n: 1 }, { k: 3, n: 0 }, { k: 4 }]));
      expect(named(loaded)).toEqual([
        [1, "n", "CONSTRAINT_CHECK"],
        [3, "n", "CONSTRAINT_CHECK"],
      ]);
      expect(constraintsOf(loaded)).toEqual(["n_is_positive", "n_is_positive"]);
    },
  },
  {
    name: "V26: a second unique key, among new records and against stored rows",
    needs: ["unique keys"],
    fulfil: async (target) => {
      const otherKeys = [{ name: "one_code", columns: ["code"] }];
      await target.createTable(keyedBy("coded", [column("code", "text")], { otherKeys }));
      await target.load(one("coded", {}, [{ k: 1, code: "a" }, { k: 2 }]));
      const records = [{ k: 3, code: "b" }, { k: 4, code: "b" }, { k: 2, code: "a" }, { k: 5 }, { k: 6, code: "c" }];
      const loaded = await target.load(one("coded", {}, records));
      expect(named(loaded)).toEqual([1, 2, 3].map((record) => [record, "code", "CONSTRAINT_UNIQUE"]));
      expect(new Set(constraintsOf(loaded))).toEqual(new Set(["one_code"]));
      expect(await sorted(target, "coded", ["k", "code"])).toEqual([
        ["1", "a"],
        ["2", null],
      ]);
    },
  },
  {
    name: "T10, T12: parents come first whatever the names, and every orphan is named",
    needs: ["foreign keys"],
    fulfil: async (target) => {
      await target.createTable(keyedBy("z_parent", []));
      const references = [{ name: "to_parent", columns: ["p"], parent: "z_parent" }];
      await target.createTable(keyedBy("a_child", [column("p", "integer")], { references }));
      const parents = content({}, [{ k: 1 }, { k: 2 }]);
      const orphaned = [{ k: 1, p: 1 }, { k: 2, p: 9 }, { k: 3 }, { k: 4, p: 8 }];
      const loaded = await target.load({ a_child: content({}, orphaned), z_parent: parents });
      expect(named(loaded)).toEqual([
        [2, "p", "CONSTRAINT_FK"],
        [4, "p", "CONSTRAINT_FK"],
      ]);
      expect(constraintsOf(loaded)).toEqual(["to_parent", "to_parent"]);
      const fine = await target.load({ a_child: content({}, [{ k: 1, p: 2 }]), z_parent: parents });
      expect(fine.status).toBe("committed");
    },
  },
  {
    name: "a table that refers to itself takes children before their parents",
    needs: ["foreign keys"],
    fulfil: async (target) => {
      const references = [{ name: "to_itself", columns: ["up"], parent: "tree" }];
      await target.createTable(keyedBy("tree", [column("up", "integer")], { references }));
      const orphaned = await target.load(
        one("tree", {}, [
          { k: 3, up: 2 },
          { k: 2, up: 1 },
          { k: 9, up: 9 },
        ]),
      );
      expect(named(orphaned)).toEqual([
        [1, "up", "CONSTRAINT_FK"],
        [2, "up", "CONSTRAINT_FK"],
      ]);
      const whole = await target.load(one("tree", {}, [{ k: 3, up: 2 }, { k: 2, up: 1 }, { k: 1 }]));
      expect(whole.counts["tree"]).toEqual({ read: 3, loaded: 3 });
    },
  },
  {
    name: "D14: what the target checks in its commit only",
    needs: ["foreign keys", "deferred constraints"],
    fulfil: async (target) => {
      await target.createTable(keyedBy("late_parent", []));
      const references = [{ name: "at_commit", columns: ["p"], parent: "late_parent", deferred: true }];
      await target.createTable(keyedBy("late_child", [column("p", "integer")], { references }));
      const loaded = await target.load(one("late_child", {}, [{ k: 1, p: 5 }]));
      expect(named(loaded)).toEqual([[1, "p", "CONSTRAINT_FK"]]);
      expect(constraintsOf(loaded)).toEqual(["at_commit"]);
    },
  },
];
