import { folderOf, type Source } from "../support/sources.ts";

/** What a folder owns, in at most four lines of 25 characters; the ground has one line for it. */
const owns: Readonly<Record<string, string>> = {
  bin: "The programs: the CDK app, table-loader, the bill of materials.",
  cli: "A file per command, and how the terminal shows its answer.",
  local: "The loader on one machine: PostgreSQL, bucket, queue, machine, demo.",
  functions: "One thin handler per state and entrance.",
  wiring: "The only place where adapters meet ports.",
  config: "The only reader of the environment.",
  infra: "The only CDK: what is deployed, and its alarms.",
  aws: "The only SDK clients; the frame of a handler, telemetry.",
  readers: "From an object's bytes to records with positions.",
  steps: "The story: what each state of the machine does.",
  ledger: "Queue, claims, plans, work items, commits, history.",
  targets: "What the target database knows: staging, judging, merging.",
  postgres: "The driver as we use it: client, transaction, stall guard.",
  core: "The domain, pure: no clock, no I/O, no AWS, nothing of one database. Batch, plan, decisions, contracts, errors, ports.",
};

export type Room = {
  readonly name: string;
  readonly owns: string;
  readonly files: number;
  readonly lines: number;
  /** Other rooms, each with the number of imports. */
  readonly imports: ReadonlyMap<string, number>;
  /** One above the highest room that it imports; 0 if it imports none. */
  readonly floor: number;
};

/** The rooms in the order of their names. */
export function roomsOf(sources: readonly Source[]): Room[] {
  const byFolder = Map.groupBy(sources, ({ folder }) => folder);
  const names = [...byFolder.keys()].toSorted();
  const imports = new Map(names.map((name) => [name, importsOf(name, byFolder.get(name) ?? [])]));
  return names.map((name) => {
    const sentence = owns[name];
    if (!sentence) throw new Error(`house: folder ${name} has no sentence; say in test/house/rooms.ts what it owns`);
    const files = byFolder.get(name) ?? [];
    const lines = files.reduce((sum, file) => sum + file.lines, 0);
    const floor = floorOf(name, imports, []);
    return { name, owns: sentence, files: files.length, lines, imports: imports.get(name) ?? new Map(), floor };
  });
}

function importsOf(name: string, sources: readonly Source[]): Map<string, number> {
  const targets = sources.flatMap(({ imports }) => imports.flatMap(({ target }) => (target ? [folderOf(target)] : [])));
  const others = Map.groupBy(targets, (target) => target);
  others.delete(name);
  return new Map([...others].map(([other, all]) => [other, all.length] as const).toSorted());
}

function floorOf(name: string, imports: ReadonlyMap<string, ReadonlyMap<string, number>>, above: string[]): number {
  if (above.includes(name)) throw new Error(`house: folders import in a circle: ${[...above, name].join(" -> ")}`);
  const below = [...(imports.get(name)?.keys() ?? [])];
  return Math.max(0, ...below.map((other) => floorOf(other, imports, [...above, name]) + 1));
}
