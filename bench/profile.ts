import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { asSuperuser, type Database } from "./database.ts";
import { type LoadRequest, loadBatch } from "./load.ts";
import type { LoadResult } from "./results.ts";

/** The time of one load by our handlers: by source file and function in Node, by statement in PostgreSQL. */

export type Cost = { readonly name: string; readonly milliseconds: number; readonly times: number };

export type Profile = {
  readonly load: LoadResult;
  /** Processor time of the staging workers, by folder or package. */
  readonly parts: readonly Cost[];
  /** The same by function. */
  readonly functions: readonly Cost[];
  /** Times in the server's log. */
  readonly statements: readonly Cost[];
};

/** An extra load, outside of the measured ones: profiles and logs cost time. */
export async function profileLoad(request: LoadRequest): Promise<Profile> {
  const { laboratory, database } = request;
  const folder = await mkdtemp(join(laboratory.folder, "profile-"));
  await logStatements(database);
  let log = "";
  const stop = laboratory.watchLog((text) => {
    log += text;
  });
  const load = await loadBatch({ ...request, profileFolder: folder });
  stop();
  const nodes = await workerProfiles(folder);
  return {
    load,
    parts: sumBy(nodes, ({ part }) => part),
    functions: sumBy(nodes, ({ name }) => name),
    statements: statementsOf(log, database.name),
  };
}

async function logStatements({ server, name }: Database): Promise<void> {
  await asSuperuser(server, async (admin) => {
    await admin`alter system set log_line_prefix = '%d|'`;
    await admin`select pg_reload_conf()`;
    await admin`alter database ${admin(name)} set log_min_duration_statement = 0`;
  });
}

type Node = { readonly part: string; readonly name: string; readonly milliseconds: number };

type CpuProfile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

/** Self times of all processes that ran stage-fragments. */
async function workerProfiles(folder: string): Promise<Node[]> {
  const files = (await readdir(folder)).filter((file) => file.startsWith("stage-fragments"));
  const profiles = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return profiles.flatMap((text) => selfTimes(JSON.parse(text) as CpuProfile));
}

function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): Node[] {
  const times = new Map<number, number>();
  for (const [index, id] of samples.entries()) times.set(id, (times.get(id) ?? 0) + (timeDeltas[index] ?? 0) / 1000);
  return nodes
    .filter(({ callFrame }) => callFrame.functionName !== "(idle)")
    .map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const place = placeOf(url);
      const name = place === "" ? functionName : `${functionName || "(anonymous)"} ${place}:${lineNumber + 1}`;
      return { part: partOf(place, functionName), name, milliseconds: times.get(id) ?? 0 };
    });
}

const root = fileURLToPath(new URL("../", import.meta.url));

const placeOf = (url: string): string => (url.startsWith("file:") ? relative(root, fileURLToPath(url)) : url);

/** `lib/readers`, a package, or the name that Node has for it. */
function partOf(place: string, functionName: string): string {
  if (functionName.startsWith("RegExp: ")) return "regular expressions";
  const [, packaged] = /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(place) ?? [];
  if (packaged) return packaged;
  if (place.startsWith("node:")) return "node";
  const [, folder] = /^(lib\/targets\/postgres\/encode|lib\/[^/]+)/.exec(place) ?? [];
  if (folder === "lib/core") return place;
  return folder ?? (place || functionName);
}

/** Long enough to tell statements from each other, short enough for a line of a table. */
const statementLength = 110;

/** A simple query is one line with a duration; a prepared one is parsed, bound and executed. */
function statementsOf(log: string, database: string): Cost[] {
  const entries = log.split(/\n(?=\S*\|[A-Z]+: )/);
  const found = entries.flatMap((entry) => {
    const match =
      /^(\S*)\|LOG: {2}duration: ([\d.]+) ms {2}(?:statement|parse [^:]*|bind [^:]*|execute [^:]*): ([\s\S]*)/.exec(
        entry,
      );
    if (!match || match[1] !== database) return [];
    const text = (match[3] ?? "").replaceAll(/\s+/g, " ").trim();
    return [{ name: text.slice(0, statementLength), milliseconds: Number(match[2]) }];
  });
  return sumBy(found, ({ name }) => name);
}

function sumBy<T extends { readonly milliseconds: number }>(items: readonly T[], nameOf: (item: T) => string): Cost[] {
  const sums = new Map<string, Cost>();
  for (const item of items) {
    const name = nameOf(item);
    const sum = sums.get(name) ?? { name, milliseconds: 0, times: 0 };
    sums.set(name, { name, milliseconds: sum.milliseconds + item.milliseconds, times: sum.times + 1 });
  }
  return [...sums.values()].toSorted((a, b) => b.milliseconds - a.milliseconds);
}

const rows = 25;
const longestName = 120;

/** A profile as lines of text. */
export function renderProfile({ load, parts, functions, statements }: Profile): string {
  const { validate, stage, commit } = load.phases;
  return [
    `phases: validate ${validate.toFixed(2)} s, stage ${stage.toFixed(2)} s (${load.workers} workers), commit ${commit.toFixed(2)} s; archive ${load.archive.toFixed(2)} s`,
    table("worker, processor time by part", parts),
    table("worker, processor time by function", functions),
    table("database, time by statement", statements),
  ].join("\n\n");
}

function table(title: string, costs: readonly Cost[]): string {
  const total = costs.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const lines = costs
    .slice(0, rows)
    .map(
      ({ name, milliseconds }) =>
        `${milliseconds.toFixed(0).padStart(8)} ms ${((100 * milliseconds) / total).toFixed(1).padStart(5)} %  ${name.slice(0, longestName)}`,
    );
  return [`${title} (${total.toFixed(0)} ms)`, ...lines].join("\n");
}
