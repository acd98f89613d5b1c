import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync } from "rolldown/utils";

/** The project's own sources as syntax trees, for the tests that hold rules about them. */

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** A node of the syntax tree, as far as the rules look at it. */
export type Node = { readonly type: string; readonly start: number; readonly end: number } & Readonly<
  Record<string, unknown>
>;

export type Import = {
  /** As written: `../core/run.ts`, `node:fs`, `@aws-sdk/client-s3/x`. */
  readonly specifier: string;
  /** The file or folder of ours that it names, from the root of the project; null for a package. */
  readonly target: string | null;
  /** What is left of a package's specifier: `@aws-sdk/client-s3`, `node:fs`; null for a file of ours. */
  readonly package: string | null;
  /** Gone at run time. */
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
  /** The exports that it takes, by their names over there; `*` for all of them. */
  readonly names: readonly string[];
};

export type Source = {
  /** From the root of the project: `lib/core/run.ts`. */
  readonly path: string;
  /** What the import table calls it: `core`, `functions`, `config`. */
  readonly folder: string;
  readonly text: string;
  readonly lines: number;
  /** The statements of the file. */
  readonly body: readonly Node[];
  /** Every node, in the order of the text; comments are none. */
  readonly nodes: readonly Node[];
  readonly imports: readonly Import[];
};

/** The text of every file that matches a pattern, in the order of the paths. */
export function readTexts(...patterns: readonly string[]): string[] {
  return globSync([...patterns], { cwd: root })
    .toSorted()
    .map((path) => readFileSync(join(root, path), "utf8"));
}

/** Every source that matches a pattern such as `lib/**\/*.ts`, in the order of the paths. */
export function readSources(...patterns: readonly string[]): Source[] {
  return globSync([...patterns], { cwd: root })
    .toSorted()
    .map((path) => parseSource(path, readFileSync(join(root, path), "utf8")));
}

export function parseSource(path: string, text: string): Source {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path} cannot be parsed: ${errors[0]?.message}`);
  const nodes = nodesOf(program);
  const body = program.body as unknown as Node[];
  const unpacked = unpackedNames(nodes);
  const imports = nodes.flatMap((node) => toImport(path, node, unpacked) ?? []);
  return { path, folder: folderOf(path), text, lines: text.trimEnd().split("\n").length, body, nodes, imports };
}

/** `lib/targets/postgres/merge.ts` is in `targets`, `lib/config.ts` is `config`, `functions/sweep.ts` is in `functions`. */
export function folderOf(path: string): string {
  const [first = "", second] = path.split("/");
  return first === "lib" ? (second ?? "").replace(/\.ts$/, "") : first;
}

/** Every node at or below a value, in the order of the text. */
export function nodesOf(value: unknown): Node[] {
  if (Array.isArray(value)) return value.flatMap(nodesOf);
  if (typeof value !== "object" || value === null) return [];
  const inside = Object.values(value).flatMap(nodesOf);
  return typeof (value as Node).type === "string" ? [value as Node, ...inside] : inside;
}

/** 1 for the first line. */
export function lineOf({ text }: Source, { start }: Node): number {
  return text.slice(0, start).split("\n").length;
}

/** The texts in the code: string literals and the fixed parts of templates; no comments, no types, no specifiers. */
export function textsOf({ nodes }: Source): { readonly node: Node; readonly text: string }[] {
  const types = nodes.filter(({ type }) => type === "TSLiteralType" || type === "TSImportType" || isStatic(type));
  const passed = new Set(types.flatMap((node) => nodesOf([node.literal, node.source])));
  return nodes.flatMap((node) => {
    if (passed.has(node)) return [];
    if (node.type === "Literal" && typeof node.value === "string") return [{ node, text: node.value }];
    return node.type === "TemplateElement" ? [{ node, text: (node.value as { raw: string }).raw }] : [];
  });
}

const isStatic = (type: string): boolean =>
  ["ImportDeclaration", "ExportNamedDeclaration", "ExportAllDeclaration"].includes(type);

type Names = readonly string[];

function toImport(path: string, node: Node, unpacked: ReadonlyMap<unknown, Names>): Import | null {
  if (isStatic(node.type)) {
    const kind = { typeOnly: isTypeOnly(node), dynamic: false, names: namesOf(node) };
    return node.source ? named(path, node, kind) : null;
  }
  if (node.type === "TSImportType") return named(path, node, { typeOnly: true, dynamic: false, names: typeName(node) });
  const names = unpacked.get(node) ?? ["*"];
  return node.type === "ImportExpression" ? named(path, node, { typeOnly: false, dynamic: true, names }) : null;
}

const textOf = (name: unknown): string => String((name as Node | null)?.name ?? (name as Node | null)?.value ?? "");

/** Of `import { a as b }` and of `export { a as b } from`: a. */
function namesOf({ type, specifiers }: Node): Names {
  if (type === "ExportAllDeclaration") return ["*"];
  return ((specifiers ?? []) as readonly Node[]).map((specifier) => {
    if (specifier.type === "ImportDefaultSpecifier") return "default";
    return specifier.type === "ImportNamespaceSpecifier" ? "*" : textOf(specifier.imported ?? specifier.local);
  });
}

/** Of `import("../core/run.ts").Run`: Run. */
function typeName({ qualifier }: Node): Names {
  const first = nodesOf(qualifier).find(({ type }) => type === "Identifier");
  return first ? [textOf(first)] : ["*"];
}

/** What is taken at once of a dynamic import: `const { a } = await import(...)`. */
function unpackedNames(nodes: readonly Node[]): Map<unknown, Names> {
  const found = new Map<unknown, Names>();
  for (const { type, id, init } of nodes) {
    const awaited = (init as Node | null)?.type === "AwaitExpression" ? (init as Node).argument : null;
    if (type !== "VariableDeclarator" || !awaited || (id as Node).type !== "ObjectPattern") continue;
    const properties = (id as Node).properties as readonly Node[];
    found.set(
      awaited,
      properties.map(({ key }) => textOf(key) || "*"),
    );
  }
  return found;
}

function isTypeOnly(node: Node): boolean {
  const specifiers = (node.specifiers ?? []) as readonly Node[];
  if (node.importKind === "type" || node.exportKind === "type") return true;
  return specifiers.length > 0 && specifiers.every(({ importKind }) => importKind === "type");
}

function named(path: string, node: Node, kind: Pick<Import, "typeOnly" | "dynamic" | "names">): Import {
  const specifier = specifierOf(node.source as Node);
  const own = specifier.startsWith(".");
  const target = own ? relative(root, join(root, dirname(path), specifier)) : null;
  return { specifier, target, package: own ? null : packageOf(specifier), ...kind };
}

/** Of a computed one, the fixed part that it begins with: `../../functions/` of `../../functions/${name}.ts`. */
function specifierOf(source: Node): string {
  if (typeof source.value === "string") return source.value;
  const [first] = (source.quasis ?? []) as readonly Node[];
  return first ? (first.value as { raw: string }).raw : "";
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}
