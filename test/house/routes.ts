import type { Room } from "./rooms.ts";

/** Where the rooms stand and which way the arrows go: down, along the corridor below a floor, down again. */

export const size = {
  room: 172,
  height: 112,
  gap: 36,
  margin: 64,
  corridor: 44,
  track: 11,
  ground: 76,
  top: 56,
} as const;
/** Pixels between two lines that run side by side. */
const lane = 9;
/** Pixels between the tips of two arrows. */
const port = 30;

export type Place = { readonly room: Room; readonly x: number; readonly y: number };
export type Arrow = {
  readonly from: Room;
  readonly to: Room;
  readonly count: number;
  /** The corners, from the source's bottom to the target's top. */
  readonly points: readonly (readonly [number, number])[];
};
export type House = {
  readonly width: number;
  readonly height: number;
  readonly places: readonly Place[];
  readonly arrows: readonly Arrow[];
  /** The lowest floor, of rooms that import none: what is imported of it stands in the rooms, it has no arrows. */
  readonly ground: readonly Room[];
  readonly groundY: number;
};

/** An arrow before it has a height: the x of its tip, and of the shaft that it comes down by if a room is in the way. */
type Way = { readonly from: Room; readonly to: Room; readonly tip: number; readonly shaft: number | null };

export function layOut(rooms: readonly Room[]): House {
  const upper = rooms.filter(({ floor }) => floor > 0);
  const floors = Map.groupBy(upper, ({ floor }) => floor);
  const most = Math.max(...[...floors.values()].map(({ length }) => length));
  const width = most * (size.room + size.gap) - size.gap + 2 * size.margin;
  const xs = new Map([...floors.values()].flatMap((floor) => placeFloor(floor, upper, width)));
  const ways = findWays(upper, xs);
  const tracks = tracksOf(ways);
  const heights = heightsOf(Math.max(...floors.keys()), tracks);
  const arrows = ways.map((way) => toArrow(way, { xs, tracks, heights }));
  const places = upper.map((room) => ({ room, x: centre(xs, room), y: heights.get(room.floor) ?? 0 }));
  const groundY = heights.get(0) ?? 0;
  const ground = rooms.filter(({ floor }) => floor === 0);
  return { width, height: groundY + size.ground + 40, places, arrows, ground, groundY };
}

type Centres = ReadonlyMap<string, number>;
const centre = (xs: Centres, { name }: Room): number => xs.get(name) ?? 0;

/** The x of each room's middle. Rooms imported from high above stand outside, where arrows can pass the others. */
function placeFloor(floor: readonly Room[], all: readonly Room[], width: number): (readonly [string, number])[] {
  const highest = ({ name }: Room): number =>
    Math.max(0, ...all.filter(({ imports }) => imports.has(name)).map((importer) => importer.floor));
  const [left, right]: [Room[], Room[]] = [[], []];
  for (const [index, room] of floor.toSorted((a, b) => highest(b) - highest(a)).entries())
    (index % 2 === 0 ? left : right).push(room);
  const row = [...left, ...right.toReversed()];
  return row.map(({ name }, index) => [name, width / 2 + (index - (row.length - 1) / 2) * (size.room + size.gap)]);
}

function findWays(rooms: readonly Room[], xs: Centres): Way[] {
  const ways: Way[] = [];
  const taken: number[] = [];
  for (const to of rooms.toSorted((a, b) => a.floor - b.floor)) {
    for (const [from, tip] of tipsOf(to, rooms, xs)) {
      const between = rooms.filter(({ floor }) => floor > to.floor && floor < from.floor);
      const shaft = isFree(tip, between, xs) ? null : findShaft(tip, { between, xs, taken });
      taken.push(shaft ?? tip);
      ways.push({ from, to, tip, shaft });
    }
  }
  return ways;
}

/** The importers of a room, each with the x of its tip; the arrow of a room right above comes down in the middle. */
function tipsOf(to: Room, rooms: readonly Room[], xs: Centres): [Room, number][] {
  const importers = rooms.filter(({ imports }) => imports.has(to.name)).toSorted((a, b) => a.floor - b.floor);
  const x = centre(xs, to);
  const straight = importers.find((from) => from.floor === to.floor + 1 && centre(xs, from) === x);
  const others = importers.filter((from) => from !== straight);
  if (straight) return [[straight, x], ...others.map((from, index): [Room, number] => [from, x + (index + 1) * port])];
  // the higher an importer, the farther out
  const [first] = importers;
  const outwards = first && x < centre(xs, first) ? -1 : 1;
  return importers.map((from, index) => [from, x + outwards * (index - (importers.length - 1) / 2) * port]);
}

function isFree(x: number, rooms: readonly Room[], xs: Centres): boolean {
  return rooms.every((room) => Math.abs(centre(xs, room) - x) >= size.room / 2 + lane);
}

type Shafts = { readonly between: readonly Room[]; readonly xs: Centres; readonly taken: readonly number[] };

/** The nearest x beside the rooms in between where no other arrow comes down. */
function findShaft(tip: number, { between, xs, taken }: Shafts): number {
  const steps = [1, 2, 3, 4, 5, 6].map((step) => size.room / 2 + step * lane);
  const candidates = between.flatMap((room) =>
    steps.flatMap((step) => [centre(xs, room) + step, centre(xs, room) - step]),
  );
  const free = candidates.filter((x) => isFree(x, between, xs) && taken.every((other) => Math.abs(other - x) >= lane));
  const [nearest] = free.toSorted((a, b) => Math.abs(a - tip) - Math.abs(b - tip));
  if (nearest === undefined) throw new Error("house: no way past the rooms; make size.gap in routes.ts wider");
  return nearest;
}

/** The lines in the corridor below each floor: one for all arrows of a room, one for each arrow that left its shaft. */
function tracksOf(ways: readonly Way[]): Map<number, string[]> {
  const tracks = new Map<number, string[]>();
  const add = (floor: number, name: string): void => {
    const all = tracks.get(floor) ?? [];
    if (!all.includes(name)) tracks.set(floor, [...all, name]);
  };
  for (const { from } of ways) add(from.floor, from.name);
  for (const way of ways) if (way.shaft !== null) add(way.to.floor + 1, trackName(way));
  return tracks;
}

const trackName = ({ from, to }: Way): string => `${from.name} ${to.name}`;

/** The y of each floor's rooms, from the highest floor down. */
function heightsOf(highest: number, tracks: ReadonlyMap<number, readonly string[]>): Map<number, number> {
  const heights = new Map<number, number>();
  let y: number = size.top;
  for (let floor = highest; floor >= 0; floor -= 1) {
    heights.set(floor, y);
    const count = tracks.get(floor)?.length ?? 0;
    y += size.height + size.corridor + Math.max(0, count - 1) * size.track;
  }
  return heights;
}

type Grid = {
  readonly xs: Centres;
  readonly tracks: ReadonlyMap<number, readonly string[]>;
  readonly heights: ReadonlyMap<number, number>;
};

function toArrow(way: Way, { xs, tracks, heights }: Grid): Arrow {
  const { from, to, tip, shaft } = way;
  const trackY = (floor: number, name: string): number =>
    (heights.get(floor) ?? 0) + size.height + 12 + (tracks.get(floor)?.indexOf(name) ?? 0) * size.track;
  const start = centre(xs, from);
  const out = trackY(from.floor, from.name);
  const down = shaft ?? tip;
  const back =
    shaft === null ? [] : ([shaft, tip] as const).map((x) => [x, trackY(to.floor + 1, trackName(way))] as const);
  const points = [
    [start, (heights.get(from.floor) ?? 0) + size.height],
    [start, out],
    [down, out],
    ...back,
    [tip, heights.get(to.floor) ?? 0],
  ] as const;
  return { from, to, count: from.imports.get(to.name) ?? 0, points };
}
