import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { drawHouse } from "./house/house.ts";
import { roomsOf } from "./house/rooms.ts";
import { type Arrow, layOut, type Place, size } from "./house/routes.ts";
import { parseSource, readSources, root, type Source } from "./support/sources.ts";

const sources = readSources("bin/**/*.ts", "functions/**/*.ts", "lib/**/*.ts");

const sourcesOf = (texts: Readonly<Record<string, string>>): Source[] =>
  Object.entries(texts).map(([path, text]) => parseSource(path, text));

describe("docs/house.svg", () => {
  test("is what the sources say", () => {
    const isCurrent = readFileSync(join(root, "docs/house.svg"), "utf8") === drawHouse(sources);
    expect(isCurrent, "docs/house.svg shows an older house; run npm run house").toBe(true);
  });

  test("is the same in whatever order the sources come", () => {
    expect(drawHouse(sources.toReversed())).toBe(drawHouse(sources));
  });
});

describe("the rooms", () => {
  const small = {
    "lib/core/a.ts": "export const a = 1;\nexport const b = 2;",
    "lib/aws/b.ts": 'import type { a } from "../core/a.ts";',
    "lib/wiring.ts": 'import { b } from "./core/a.ts"; import * as aws from "./aws/b.ts";',
  };

  test("stand one floor above the highest that they import", () => {
    const rooms = roomsOf(sourcesOf(small)).map(({ name, floor, files, lines }) => [name, floor, files, lines]);
    expect(rooms).toEqual([
      ["aws", 1, 1, 1],
      ["core", 0, 1, 2],
      ["wiring", 2, 1, 1],
    ]);
  });

  test("are refused when they import in a circle", () => {
    const back = { ...small, "lib/core/c.ts": 'import type { x } from "../wiring.ts";' };
    expect(() => roomsOf(sourcesOf(back))).toThrow("in a circle: aws -> core -> wiring -> aws");
  });

  test("are refused when nothing says what they own", () => {
    expect(() => roomsOf(sourcesOf({ "lib/attic/a.ts": "" }))).toThrow("folder attic has no sentence");
  });
});

describe("the arrows", () => {
  const { arrows, places, ground } = layOut(roomsOf(sources));
  const named = arrows.map((arrow) => [`${arrow.from.name} -> ${arrow.to.name}`, arrow] as const);

  test("show every import between folders, except for those of the ground", () => {
    const counted = places.flatMap(({ room }) => [...room.imports].map(([to, count]) => `${room.name} ${to} ${count}`));
    const grounds = ground.map(({ name }) => name);
    const expected = counted.filter((text) => !grounds.includes(text.split(" ")[1] ?? ""));
    expect(arrows.map(({ from, to, count }) => `${from.name} ${to.name} ${count}`).toSorted()).toEqual(
      expected.toSorted(),
    );
  });

  test.each(named)("%s passes behind no room", (_, arrow) => {
    expect(places.filter((place) => crosses(arrow, place)).map(({ room }) => room.name)).toEqual([]);
  });

  test("end in places of their own", () => {
    const tips = arrows.map(({ points }) => String(points.at(-1)));
    expect(new Set(tips).size).toBe(tips.length);
  });
});

/** Whether a part of an arrow runs through the inside of a room. */
function crosses({ points }: Arrow, { x, y }: Place): boolean {
  const [left, right, top, bottom] = [x - size.room / 2, x + size.room / 2, y, y + size.height];
  return points.slice(1).some(([toX, toY], index) => {
    const [fromX, fromY] = points[index] ?? [toX, toY];
    const besides = Math.max(fromX, toX) <= left || Math.min(fromX, toX) >= right;
    return !besides && Math.max(fromY, toY) > top && Math.min(fromY, toY) < bottom;
  });
}
