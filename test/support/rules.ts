import { basename, dirname } from "node:path";
import { folderOf, type Import, lineOf, type Node, type Source, textsOf } from "./sources.ts";

/** The rules of the layout as functions over sources. Each lists what breaks it; an empty list is a pass. */

export const at = (source: Source, node: Node, what: string): string =>
  `${source.path}:${lineOf(source, node)} ${what}`;

/** The nodes that break a rule. */
export function breaches(sources: readonly Source[], look: (node: Node, source: Source) => string | null): string[] {
  return sources.flatMap((source) =>
    source.nodes.flatMap((node) => {
      const what = look(node, source);
      return what === null ? [] : [at(source, node, what)];
    }),
  );
}

/** The texts that break a rule. */
export function textBreaches(sources: readonly Source[], isBreach: (text: string) => boolean): string[] {
  return sources.flatMap((source) =>
    textsOf(source)
      .filter(({ text }) => isBreach(text))
      .map(({ node, text }) => at(source, node, (text.split("\n").find(isBreach) ?? text).trim())),
  );
}

export function importBreaches(
  sources: readonly Source[],
  isBreach: (used: Import, source: Source) => boolean,
): string[] {
  return sources.flatMap((source) =>
    source.imports.filter((used) => isBreach(used, source)).map(({ specifier }) => `${source.path} -> ${specifier}`),
  );
}

/** Imports of other folders that the table does not allow. */
export function tableBreaches(
  sources: readonly Source[],
  table: Readonly<Record<string, readonly string[]>>,
): string[] {
  return importBreaches(sources, ({ target }, { folder }) => {
    const other = target === null ? folder : folderOf(target);
    return other !== folder && !table[folder]?.includes(other);
  });
}

/** Imports of a driver from below another target than its own: lib/postgres is for lib/targets/postgres/ alone. */
export function driverBreaches(sources: readonly Source[], drivers: readonly string[]): string[] {
  return importBreaches(sources, ({ target }, { path, folder }) => {
    const driver = target === null ? "" : folderOf(target);
    return folder === "targets" && drivers.includes(driver) && !path.startsWith(`lib/targets/${driver}/`);
  });
}

/** Cycles of imports, types included, each as the path that closes it. */
export function cycles(sources: readonly Source[]): string[] {
  const edges = new Map(sources.map(({ path, imports }) => [path, imports.flatMap(({ target }) => target ?? [])]));
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) found.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
    if (done.has(path) || trail.includes(path)) return;
    for (const next of new Set(edges.get(path))) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return found;
}

/** Names that more than one file has. */
export function sameNames(sources: readonly Source[]): string[] {
  const byName = Map.groupBy(sources, ({ path }) => basename(path));
  return [...byName.values()]
    .filter((files) => files.length > 1)
    .map((files) => files.map(({ path }) => path).join(", "));
}

export type Floor = {
  /** A file of lib with fewer lines needs a second importer, or one in another folder. */
  readonly lines: number;
  /** Files that may lie below the floor, each with the reason. */
  readonly allowed: Readonly<Record<string, string>>;
};

/** Small files of lib that belong to their only importer, and what is allowed without need. */
export function crumbs(sources: readonly Source[], { lines, allowed }: Floor): string[] {
  const small = sources.filter((source) => source.path.startsWith("lib/") && source.lines < lines);
  const found = small.flatMap(({ path, lines: count }) => {
    const [only, ...others] = sources.filter(({ imports }) => imports.some(({ target }) => target === path));
    const isCrumb = only && others.length === 0 && dirname(only.path) === dirname(path);
    return isCrumb ? [{ path, text: `${path}: ${count} lines, belongs to ${only.path}` }] : [];
  });
  const needless = Object.keys(allowed).filter((path) => !found.some((crumb) => crumb.path === path));
  return [
    ...found.filter(({ path }) => !(path in allowed)).map(({ text }) => text),
    ...needless.map((path) => `${path}: is allowed without need`),
  ];
}

/** Exports that no other file of `users` imports. */
export function unusedExports(sources: readonly Source[], users: readonly Source[]): string[] {
  const taken = new Set(
    users.flatMap(({ imports }) => imports.flatMap(({ target, names }) => names.map((name) => `${target} ${name}`))),
  );
  return sources.flatMap((source) =>
    exportsOf(source)
      .map((name) => `${source.path} ${name}`)
      .filter((name) => !taken.has(name) && !taken.has(`${source.path} *`)),
  );
}

const nameOf = (node: unknown): string => String((node as Node | null)?.name ?? "");

/** The names that a file exports, types included. */
function exportsOf({ body }: Source): string[] {
  return body
    .filter(({ type }) => type === "ExportNamedDeclaration")
    .flatMap(({ declaration, specifiers }) => {
      const { id, declarations = [] } = (declaration ?? {}) as { id?: Node; declarations?: readonly Node[] };
      const variables = declarations.map((variable) => nameOf(variable.id));
      const listed = (specifiers as readonly Node[]).map(({ exported }) => nameOf(exported));
      return [...(id ? [nameOf(id)] : []), ...variables, ...listed];
    });
}
