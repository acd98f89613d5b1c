import { expect } from "vitest";
import { column, keyedBy, named, type Obligation, one, sorted } from "./obligation.ts";

/** No value changes on the way (P3). */
export const valueObligations: readonly Obligation[] = [
  {
    name: "P3: every kind of value comes back as it was sent",
    fulfil: async (target) => {
      const kinds = [
        column("n", "integer"),
        column("b", "bigint"),
        column("d", { digits: 38, scale: 10 }),
        column("t", "text"),
        column("v", { length: 3 }),
        column("f", "boolean"),
        column("day", "date"),
        column("at", "instant"),
      ];
      await target.createTable(keyedBy("round_trip", kinds));
      const odd = `it's "x"\\N\t\r\n{}$1 %s 🜁 ü`;
      const records = `[
        {"k":1,"n":-2147483648,"b":9007199254740993,"d":1234567890123456789012345678.0123456789,"t":${JSON.stringify(odd)},
         "v":"🜁ab","f":true,"day":"0001-01-01","at":"2026-01-01T05:30:00.123456+05:30"},
        {"k":2,"n":"7","b":"-9223372036854775808","d":"1.10","t":5,"v":"","f":"no","day":"2024-02-29","at":"1969-12-31T23:59:59Z"},
        {"k":3,"n":null,"b":null,"d":null,"t":null,"v":null,"f":null,"day":null,"at":null}
      ]`;
      expect((await target.load(one("round_trip", { null_values: [] }, records))).status).toBe("committed");
      expect(await sorted(target, "round_trip", ["k", ...kinds.map(({ name }) => name)])).toEqual([
        ["1", "-2147483648", "9007199254740993", "1234567890123456789012345678.0123456789", odd].concat([
          "🜁ab",
          "true",
          "0001-01-01",
          "2026-01-01T00:00:00.123456Z",
        ]),
        ["2", "7", "-9223372036854775808", "1.1000000000", "5", "", "false", "2024-02-29", "1969-12-31T23:59:59Z"],
        ["3", ...kinds.map(() => null)],
      ]);
    },
  },
  {
    name: "V23: labels of an enum, and no others",
    needs: ["enums"],
    fulfil: async (target) => {
      await target.createTable(keyedBy("labelled", [column("e", { labels: ["red", "Blue"] })]));
      const loaded = await target.load(
        one("labelled", {}, [
          { k: 1, e: "Blue" },
          { k: 2, e: "blue" },
        ]),
      );
      expect(named(loaded)).toEqual([[2, "e", "VALUE_ENUM"]]);
      await target.load(one("labelled", {}, [{ k: 1, e: "Blue" }]));
      expect(await sorted(target, "labelled", ["k", "e"])).toEqual([["1", "Blue"]]);
    },
  },
  {
    name: "J08: JSON with every digit",
    needs: ["json"],
    fulfil: async (target) => {
      await target.createTable(keyedBy("documents", [column("j", "json")]));
      await target.load(one("documents", {}, `[{"k":1,"j":{"a":[12345678901234567890,null,true,"x"]}}]`));
      expect(await sorted(target, "documents", ["j"])).toEqual([[`{"a":[12345678901234567890,null,true,"x"]}`]]);
    },
  },
  {
    name: "C3: what cannot be stored exactly is rejected by record, field and code, and nothing is stored",
    fulfil: async (target) => {
      const kinds = [
        column("n", "integer"),
        column("d", { digits: 6, scale: 2 }),
        column("v", { length: 3 }),
        column("f", "boolean"),
        column("day", "date"),
      ];
      await target.createTable(keyedBy("refused", kinds));
      const records = `[{"k":1,"n":2147483648},{"k":2,"n":1.5},{"k":3,"d":1.005},{"k":4,"d":12345},{"k":5,"v":"abcd"},
        {"k":6,"f":"oui"},{"k":7,"day":"2026-02-30"},{"k":8,"day":"01/02/2026","n":"x"},{"k":9,"n":1}]`;
      const loaded = await target.load(one("refused", {}, records));
      expect(loaded.status).toBe("rejected");
      expect(named(loaded)).toEqual([
        [1, "n", "VALUE_RANGE"],
        [2, "n", "VALUE_TYPE"],
        [3, "d", "VALUE_PRECISION_LOSS"],
        [4, "d", "VALUE_RANGE"],
        [5, "v", "VALUE_TOO_LONG"],
        [6, "f", "VALUE_TYPE"],
        [7, "day", "VALUE_RANGE"],
        [8, "day", "VALUE_TYPE"],
        [8, "n", "VALUE_TYPE"],
      ]);
      expect(loaded.counts["refused"]).toEqual({ read: 9, loaded: 1, failed: 8 });
      expect(await sorted(target, "refused", ["k"])).toEqual([]);
    },
  },
  {
    name: "B7: texts that mean null, and the same texts where the contract says that they mean themselves",
    fulfil: async (target) => {
      await target.createTable(keyedBy("nulled", [column("t", "text")]));
      const records = [
        { k: 1, t: "" },
        { k: 2, t: "NA" },
        { k: 3, t: "null" },
      ];
      await target.load(one("nulled", {}, records));
      expect(await sorted(target, "nulled", ["k", "t"])).toEqual([
        ["1", null],
        ["2", null],
        ["3", "null"],
      ]);
      await target.load(one("nulled", { null_values: [] }, records));
      expect(await sorted(target, "nulled", ["k", "t"])).toEqual([
        ["1", ""],
        ["2", "NA"],
        ["3", "null"],
      ]);
    },
  },
];
