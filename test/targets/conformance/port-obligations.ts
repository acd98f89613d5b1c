import { expect } from "vitest";
import { errorNames } from "../../../lib/core/errors.ts";
import * as driver from "./drive.ts";
import { column, keyedBy, named, type Obligation, one, sorted } from "./obligation.ts";

/** What the port asks of every target between the lines of its types: staging can be repeated, and a commit is one. */

const first = [
  { k: 1, n: 1 },
  { k: 2, n: 2 },
  { k: 3, n: "x" },
] as const;
const two = first.slice(0, 2);
const both = [
  ["1", "1"],
  ["2", "2"],
];
const numbers = [column("n", "integer")];
const numbered = (count: number): object[] => Array.from({ length: count }, (_, index) => ({ k: index, n: index }));

const stagingObligations: readonly Obligation[] = [
  {
    name: "a catalog has the tables that exist, in one order whatever the question's",
    fulfil: async (target) => {
      for (const name of ["in_catalog_b", "in_catalog_a"]) await target.createTable(keyedBy(name, numbers));
      const { catalog } = target.open();
      const shapes = await catalog.read(["in_catalog_b", "not_in_catalog", "in_catalog_a"]);
      expect([...shapes.keys()]).toEqual(["in_catalog_a", "in_catalog_b"]);
      expect([...(await catalog.read(["in_catalog_a", "in_catalog_b"]))]).toEqual([...shapes]);
    },
  },
  {
    name: "staging that is made again keeps its rows, one that is emptied has none, one that is dropped can be dropped",
    fulfil: async (target) => {
      await target.createTable(keyedBy("made_twice", numbers));
      const delivery = await target.stage(one("made_twice", {}, numbered(3), numbered(2), "[]"));
      const { tables } = delivery.target.staging;
      const { planId, body } = delivery.plan;
      await tables.create(planId, body);
      expect(await driver.missing(delivery)).toEqual([]);
      await tables.empty(planId, body);
      await tables.empty(planId, body);
      expect(await driver.missing(delivery)).toEqual(delivery.items.slice(0, 2).map(({ itemId }) => itemId));
      await driver.discard(delivery);
      await driver.discard(delivery);
      await tables.create(planId, body);
      expect(await driver.missing(delivery)).toHaveLength(2);
      await driver.discard(delivery);
    },
  },
  {
    name: "rows of one fragment that are forgotten are missing, and the others stay",
    fulfil: async (target) => {
      await target.createTable(keyedBy("forgotten", numbers));
      const delivery = await target.stage(one("forgotten", {}, numbered(5), [{ k: 9, n: 9 }]));
      const { itemId } = delivery.items[1] ?? { itemId: 0 };
      await driver.forget(delivery, [itemId]);
      expect(await driver.missing(delivery)).toEqual([itemId]);
      const loaded = await driver.commit(delivery);
      expect([loaded.restaged, loaded.counts["forgotten"]]).toEqual([true, { read: 6, loaded: 6 }]);
      await driver.discard(delivery);
    },
  },
  {
    name: "a slice that is written twice counts once",
    fulfil: async (target) => {
      await target.createTable(keyedBy("sliced_twice", numbers));
      const delivery = await target.begin(one("sliced_twice", {}, numbered(1500), first));
      await driver.stageInVain(delivery, "end");
      await driver.stage(delivery);
      const loaded = await driver.commit(delivery);
      expect(named(loaded)).toEqual([[3, "n", "VALUE_TYPE"]]);
      const counts = { read: 1503, loaded: 1500, collapsed: 2, failed: 1 };
      expect([loaded.restaged, loaded.counts["sliced_twice"]]).toEqual([false, counts]);
      await driver.discard(delivery);
    },
  },
  {
    name: "a slice that is given up leaves nothing",
    fulfil: async (target) => {
      await target.createTable(keyedBy("given_up", numbers));
      const delivery = await target.begin(one("given_up", {}, numbered(3)));
      await driver.stageInVain(delivery, "abort");
      expect(await driver.missing(delivery)).toEqual([]);
      await driver.stage(delivery);
      const loaded = await driver.commit(delivery);
      expect([loaded.restaged, loaded.counts["given_up"]]).toEqual([false, { read: 3, loaded: 3 }]);
      await driver.discard(delivery);
    },
  },
];

const commitObligations: readonly Obligation[] = [
  {
    name: "P5: whoever dies between submission and answer comes back to rows that are there once",
    fulfil: async (target) => {
      await target.createTable(keyedBy("survived", numbers));
      const dead = await target.stage(one("survived", {}, two));
      await driver.submitAndDie(dead);
      const next = driver.takeOver(dead);
      expect((await driver.commit(next)).counts["survived"]).toEqual({ read: 2, loaded: 2 });
      expect(await sorted(target, "survived", ["k", "n"])).toEqual(both);
      await driver.discard(next);
    },
  },
  {
    name: "what is pending is asked by another instance",
    fulfil: async (target) => {
      await target.createTable(keyedBy("asked_elsewhere", numbers));
      const delivery = await target.stage(one("asked_elsewhere", {}, two));
      const loaded = await driver.commit({ ...delivery, asker: target.open() });
      expect(loaded.counts["asked_elsewhere"]).toEqual({ read: 2, loaded: 2 });
      expect(await sorted(target, "asked_elsewhere", ["k", "n"])).toEqual(both);
      await driver.discard(delivery);
    },
  },
  {
    name: "a batch that was rejected leaves no marker: its next attempt takes effect",
    fulfil: async (target) => {
      await target.createTable(keyedBy("second_attempt", numbers));
      const broken = await target.stage(one("second_attempt", {}, first));
      expect(named(await driver.commit(broken))).toEqual([[3, "n", "VALUE_TYPE"]]);
      await driver.discard(broken);
      const { batchId } = broken.run;
      const whole = await target.stage(one("second_attempt", {}, two), { batchId, attempt: 2 });
      expect((await driver.commit(whole)).counts["second_attempt"]).toEqual({ read: 2, loaded: 2 });
      await driver.discard(whole);
    },
  },
  {
    name: "P5: what is submitted twice takes effect once, and is answered as it was",
    needs: ["own commits"],
    fulfil: async (target) => {
      await target.createTable(keyedBy("submitted_twice", numbers));
      const delivery = await target.stage(one("submitted_twice", {}, two));
      const loaded = await driver.commit(delivery);
      await target.load(one("submitted_twice", {}, [{ k: 1, n: 5 }]));
      expect(await driver.commit(driver.takeOver(delivery))).toEqual(loaded);
      expect(await sorted(target, "submitted_twice", ["k", "n"])).toEqual([
        ["1", "5"],
        ["2", "2"],
      ]);
      await driver.discard(delivery);
    },
  },
  {
    name: "P5: a batch that is planned again after its commit does not take effect again, and its next epoch does",
    needs: ["own commits"],
    fulfil: async (target) => {
      await target.createTable(keyedBy("planned_again", numbers));
      const delivery = await target.stage(one("planned_again", {}, two));
      const loaded = await driver.commit(delivery);
      const again = { batchId: delivery.run.batchId };
      const replanned = await target.stage(one("planned_again", {}, [{ k: 1, n: 7 }]), again);
      expect((await driver.commit(replanned)).counts).toEqual(loaded.counts);
      expect(await sorted(target, "planned_again", ["k", "n"])).toEqual(both);
      const next = await target.stage(one("planned_again", {}, [{ k: 1, n: 7 }]), { ...again, epoch: 2 });
      expect((await driver.commit(next)).counts["planned_again"]).toEqual({ read: 1, updated: 1 });
      for (const one of [delivery, replanned, next]) await driver.discard(one);
    },
  },
  {
    name: "P4: an older fence may not commit once a newer one has prepared",
    needs: ["own commits"],
    fulfil: async (target) => {
      await target.createTable(keyedBy("fenced", numbers));
      const older = await target.stage(one("fenced", {}, two));
      await driver.prepare(older);
      const newer = driver.takeOver(older);
      await driver.prepare(newer);
      const stale = { name: errorNames.staleFence };
      await expect(driver.submitLate(older)).rejects.toMatchObject(stale);
      await expect(driver.commit(older)).rejects.toMatchObject(stale);
      expect(await target.rows("fenced", ["k"])).toEqual([]);
      expect((await driver.commit(newer)).counts["fenced"]).toEqual({ read: 2, loaded: 2 });
      await driver.discard(newer);
    },
  },
];

export const portObligations: readonly Obligation[] = [...stagingObligations, ...commitObligations];
