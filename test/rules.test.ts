import { describe, expect, test } from "vitest";
import { durationBreaches, intervalsIn, lastDefinitions, numbersOf } from "./support/durations.ts";
import {
  crumbs,
  cycles,
  driverBreaches,
  sameNames,
  tableBreaches,
  textBreaches,
  unusedExports,
} from "./support/rules.ts";
import { parseSource, type Source, textsOf } from "./support/sources.ts";

/** The rules of architecture.test.ts see what breaks them. */

const sourcesOf = (texts: Readonly<Record<string, string>>): Source[] =>
  Object.entries(texts).map(([path, text]) => parseSource(path, text));

describe("the reader of the sources", () => {
  const text = [
    'import { type A, b as c } from "../core/run.ts";',
    'import { type C } from "@aws-sdk/client-s3/types";',
    'export type { D } from "./keys.ts";',
    `const e = (name: string) => import(\`../../functions/\${name}.ts\`);`,
    'type F = import("node:fs").Stats | "failed/";',
    `export const g = \`loaded/\${b}\` + 'x';`,
    'const { h: i } = await import("./serve.ts");',
    'import * as j from "node:os";',
  ].join("\n");
  const source = parseSource("lib/local/functions.ts", text);

  test("finds every kind of import, and what it takes", () => {
    const found = source.imports.map(({ specifier, target, package: name, ...kind }) => [target ?? name, kind]);
    expect(found).toEqual([
      ["lib/core/run.ts", { typeOnly: false, dynamic: false, names: ["A", "b"] }],
      ["@aws-sdk/client-s3", { typeOnly: true, dynamic: false, names: ["C"] }],
      ["lib/local/keys.ts", { typeOnly: true, dynamic: false, names: ["D"] }],
      ["functions", { typeOnly: false, dynamic: true, names: ["*"] }],
      ["node:fs", { typeOnly: true, dynamic: false, names: ["Stats"] }],
      ["lib/local/serve.ts", { typeOnly: false, dynamic: true, names: ["h"] }],
      ["node:os", { typeOnly: false, dynamic: false, names: ["*"] }],
    ]);
  });

  test("finds texts, but no types and no specifiers", () => {
    const found = textsOf(source).map((one) => one.text);
    expect(found).toEqual(["../../functions/", ".ts", "loaded/", "", "x", "./serve.ts"]);
  });
});

describe("the rules of imports", () => {
  test("see an import that the table does not allow, and one of a folder without a row", () => {
    const sources = sourcesOf({
      "lib/core/a.ts": 'import { b } from "../aws/b.ts";',
      "lib/aws/b.ts": 'import type { a } from "../core/a.ts";',
      "lib/attic/c.ts": 'import { a } from "../core/a.ts";',
    });
    const found = tableBreaches(sources, { core: [], aws: ["core"] });
    expect(found).toEqual(["lib/core/a.ts -> ../aws/b.ts", "lib/attic/c.ts -> ../core/a.ts"]);
  });

  test("see the driver of another target", () => {
    const sources = sourcesOf({
      "lib/targets/postgres/merge.ts": 'import { client } from "../../postgres/client.ts";',
      "lib/targets/redshift/merge.ts": 'import type { Client } from "../../postgres/client.ts";',
      "lib/targets/merge.ts": 'import { client } from "../postgres/client.ts";',
    });
    const found = driverBreaches(sources, ["postgres"]);
    expect(found.map((text) => text.split(" ")[0])).toEqual(["lib/targets/redshift/merge.ts", "lib/targets/merge.ts"]);
  });

  test.each(["", "type "])("see a cycle of import %s", (kind) => {
    const sources = sourcesOf({
      "lib/core/a.ts": `import ${kind}{ b } from "./b.ts";`,
      "lib/core/b.ts": `import ${kind}{ a } from "./a.ts";`,
    });
    expect(cycles(sources)).toEqual(["lib/core/a.ts -> lib/core/b.ts -> lib/core/a.ts"]);
  });
});

describe("the rules of files", () => {
  test("see two files with one name", () => {
    const sources = sourcesOf({ "lib/core/a.ts": "", "lib/core/b.ts": "", "lib/aws/a.ts": "" });
    expect(sameNames(sources)).toEqual(["lib/core/a.ts, lib/aws/a.ts"]);
  });

  describe("see a small file that belongs to its importer", () => {
    const sources = sourcesOf({
      "lib/core/a.ts": 'import { b } from "./b.ts"; import { c } from "./c.ts"; import { e } from "./in/e.ts";',
      "lib/core/b.ts": "export const b = 1;",
      "lib/core/c.ts": "export const c = 1;\n\nexport const d = 1;",
      "lib/core/in/e.ts": "export const e = 1;",
      "lib/core/shared.ts": "export const s = 1;",
      "lib/core/f.ts": 'import type { s } from "./shared.ts";',
      "lib/core/g.ts": 'import { s } from "./shared.ts";',
    });
    const found = "lib/core/b.ts: 1 lines, belongs to lib/core/a.ts";

    test("but not one in another folder, a big one, a shared one", () => {
      expect(crumbs(sources, { lines: 3, allowed: {} })).toEqual([found]);
    });

    test("unless it is allowed to be there, with need", () => {
      const reasons = { "lib/core/b.ts": "loaded late", "lib/core/c.ts": "was smaller" };
      expect(crumbs(sources, { lines: 3, allowed: reasons })).toEqual(["lib/core/c.ts: is allowed without need"]);
    });
  });

  test("see an export that nobody takes", () => {
    const sources = sourcesOf({
      "lib/core/a.ts": "export const a = 1, b = a; export type C = 1; export class D {} export function e() {}",
      "lib/core/f.ts": "const g = 1; export { g as h }; export interface I {}",
      "lib/core/all.ts": "export const j = 1;",
    });
    const users = sourcesOf({
      "test/a.test.ts": 'import { a, type C as K } from "../lib/core/a.ts"; type L = import("../lib/core/f.ts").I;',
      "test/b.test.ts": 'import * as all from "../lib/core/all.ts"; const { e } = await import("../lib/core/a.ts");',
    });
    const found = ["lib/core/a.ts b", "lib/core/a.ts D", "lib/core/f.ts h"];
    expect(unusedExports(sources, [...sources, ...users])).toEqual(found);
  });

  test("see a text in a tagged template", () => {
    const text = `export const a = (sql: Sql) => sql\`\n    insert into table_loader.rejects values (\${1})\`;`;
    const found = textBreaches(sourcesOf({ "lib/targets/a.ts": text }), (part) => part.includes("table_loader."));
    expect(found).toEqual(["lib/targets/a.ts:1 insert into table_loader.rejects values ("]);
  });
});

describe("the rule of durations", () => {
  const shared = numbersOf({
    leaseSeconds: 960,
    undoRetentionDays: 90,
    turn: { settleSeconds: 5 },
    stallSeconds: 300,
    unit: "seconds",
  });
  const breachesOf = (text: string, allowed = {}): string[] =>
    durationBreaches(sourcesOf({ "lib/core/a.ts": text }), { shared, allowed });

  test.each([
    ["a constant of the same length", "const longestSeconds = 16 * 60;", "longestSeconds 960 is leaseSeconds"],
    ["the same length in another unit", "const goneMilliseconds = 960_000;", "goneMilliseconds 960 is leaseSeconds"],
    ["the same name, whatever its length", "const leaseSeconds = 300;", "leaseSeconds 300 is leaseSeconds"],
    ["a property", "const own = { timeout: 960 };", "timeout 960 is leaseSeconds"],
    ["a parameter's default", "const f = ({ timeout = 960 }) => timeout;", "timeout 960 is leaseSeconds"],
    [
      "a setting's default",
      "z({ UNDO_RETENTION_DAYS: w(1).default(90) });",
      "UNDO_RETENTION_DAYS 7776000 is undoRetentionDays",
    ],
    [
      "a short one with a word in common",
      "const settleMilliseconds = 5_000;",
      "settleMilliseconds 5 is turn.settleSeconds",
    ],
    ["a duration of CDK", "new Queue({ period: Duration.minutes(5) });", "period 300 is stallSeconds"],
    ["a duration of CDK as an argument", "rate(Duration.minutes(5));", "Duration 300 is stallSeconds"],
    ["an interval in SQL", "sql`where at < now() - interval '5 minutes'`;", "interval 300 is stallSeconds"],
  ])("sees %s", (_, text, found) => {
    expect(breachesOf(text)).toEqual([`lib/core/a.ts:1 ${found}`]);
  });

  test.each([
    ["is private", "const pollSeconds = 7;"],
    ["is short and measures something else", "const connectSeconds = 5;"],
    ["is no time", "const batchSize = 960;"],
    ["is said by the shared one", "const timeoutSeconds = leaseSeconds;"],
    ["is computed from it", "const reserveSeconds = leaseSeconds - 7;"],
  ])("lets a number be that %s", (_, text) => {
    expect(breachesOf(text)).toEqual([]);
  });

  test("lets be what is allowed, with need", () => {
    const allowed = { "lib/core/a.ts ageSeconds 300": "by chance", "lib/core/b.ts ageSeconds 300": "was so" };
    expect(breachesOf("const ageSeconds = 300;", allowed)).toEqual([
      "lib/core/b.ts ageSeconds 300 is allowed without need",
    ]);
  });

  test("reads the last definition of a view or function", () => {
    const migrations = [
      "create view public.status as\n  select now() - interval '5 minutes';",
      "create or replace view public.other as\n  select interval '30 days';",
      "create or replace view public.status as\n  select now() - interval '1 hour';\n",
    ].join("\n");
    expect(lastDefinitions(migrations, /^status$/).flatMap(intervalsIn)).toEqual([3600]);
  });
});
