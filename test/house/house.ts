import type { Source } from "../support/sources.ts";
import { type Room, roomsOf } from "./rooms.ts";
import { type Arrow, type House, layOut, type Place, size } from "./routes.ts";

/** The picture of the house as SVG: the same sources give the same bytes. */
export function drawHouse(sources: readonly Source[]): string {
  const house = layOut(roomsOf(sources));
  const colours = coloursOf(house);
  const { width, height } = house;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title desc">`,
    '<title id="title">The house</title>',
    `<desc id="desc">The folders of Table Loader as rooms, each one floor above the highest that it imports. ${inWords(house)}</desc>`,
    style,
    // a background of its own, as in flow.svg: readable on light and dark pages
    `<rect width="${width}" height="${height}" rx="10" fill="#f8fafc"/>`,
    `<text class="note" x="16" y="28">An arrow goes from a folder to one that it imports, with the number of imports.</text>`,
    ...house.arrows.map((arrow) => drawLine(arrow, colours)),
    ...house.places.map((place) => drawRoom(place, { house, colour: colours.get(place.room.name) ?? plain })),
    ...house.arrows.map((arrow) => drawTip(arrow, colours)),
    ...drawGround(house),
    `<text class="note" x="16" y="${height - 14}">Numbers are rounded to two digits. Drawn from the sources by npm run house.</text>`,
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

const style = `<style>
  text { font-family: ui-sans-serif, system-ui, sans-serif; fill: #1f2933 }
  .name { font-size: 15px; font-weight: 600 } .note { font-size: 11px; fill: #52606d }
  .count { font-size: 11px; font-weight: 600; stroke: #f8fafc; stroke-width: 4px; paint-order: stroke }
  .room { fill: #ffffff } .ground { fill: #e3f0e8; stroke: #3f7d58; stroke-width: 1.5 } .way { fill: none; stroke-linejoin: round }
</style>`;

const plain = "#9fb3c8";
const palette = ["#486581", "#b4533c", "#2f7d6b", "#8a5fa8", "#b08a2e", "#3568b8", "#a34672", "#5f7a1f"];

/** A room that arrows leave has a colour, as has each of them. */
function coloursOf({ arrows }: House): Map<string, string> {
  const sources = new Map(arrows.map(({ from }) => [from.name, from]));
  const ordered = [...sources.values()].toSorted((a, b) => b.floor - a.floor);
  return new Map(ordered.map(({ name }, index) => [name, palette[index % palette.length] as string]));
}

const inWords = ({ arrows }: House): string =>
  arrows.map(({ from, to, count }) => `${from.name} imports ${to.name} ${rounded(count)} times.`).join(" ");

/** To two digits, so that a change of a few lines leaves the picture as it is. */
function rounded(count: number): string {
  const unit = 10 ** Math.max(0, String(count).length - 2);
  return (Math.round(count / unit) * unit).toLocaleString("en-US");
}

const counts = ({ files, lines }: Room): string =>
  `${rounded(files)} ${files === 1 ? "file" : "files"}, ${rounded(lines)} lines`;

type Look = { readonly house: House; readonly colour: string };

function drawRoom({ room, x, y }: Place, { house, colour }: Look): string {
  const left = x - size.room / 2;
  const below = house.ground
    .filter(({ name }) => room.imports.has(name))
    .map(({ name }) => `${name} ${rounded(room.imports.get(name) ?? 0)}`);
  const texts = [
    `<text class="name" x="${left + 12}" y="${y + 24}">${room.name}</text>`,
    `<text class="note" x="${left + 12}" y="${y + 40}">${counts(room)}</text>`,
    ...wrapped(room.owns, 25).map(
      (line, index) => `<text x="${left + 12}" y="${y + 59 + index * 14}" font-size="11">${line}</text>`,
    ),
    ...below.map(
      (text) => `<text class="note" x="${left + size.room - 10}" y="${y + 24}" text-anchor="end">↓ ${text}</text>`,
    ),
  ];
  const box = `<rect class="room" x="${left}" y="${y}" width="${size.room}" height="${size.height}" rx="6" stroke="${colour}" stroke-width="1.5"/>`;
  return [box, ...texts].join("\n");
}

/** A text in lines of at most `length` characters. */
function wrapped(text: string, length: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = [lines.at(-1), word].filter(Boolean).join(" ");
    if (lines.length > 0 && line.length <= length) lines[lines.length - 1] = line;
    else lines.push(word);
  }
  return lines;
}

function drawLine({ from, count, points }: Arrow, colours: ReadonlyMap<string, string>): string {
  const corners = points.map(([x, y], index) => {
    const end = index === points.length - 1 ? 6 : 0;
    return `${x} ${y - end}`;
  });
  const width = Math.min(4, 1 + Math.log2(count) / 2).toFixed(1);
  return `<path class="way" stroke="${colours.get(from.name)}" stroke-width="${width}" d="M${corners.join(" L")}"/>`;
}

function drawTip({ from, count, points }: Arrow, colours: ReadonlyMap<string, string>): string {
  const [x, y] = points.at(-1) ?? [0, 0];
  const fill = colours.get(from.name);
  return [
    `<path fill="${fill}" d="M${x - 5} ${y - 9} H${x + 5} L${x} ${y - 1} z"/>`,
    `<text class="count" x="${x + 6}" y="${y - 11}" style="fill: ${fill}">${rounded(count)}</text>`,
  ].join("\n");
}

function drawGround({ ground, groundY, width }: House): string[] {
  const each = (width - 2 * size.margin) / ground.length;
  return ground.map((room, index) => {
    const x = size.margin + index * each;
    return [
      `<rect class="ground" x="${x}" y="${groundY}" width="${each}" height="${size.ground}" rx="6"/>`,
      `<text class="name" x="${x + 12}" y="${groundY + 24}">${room.name}</text>`,
      `<text class="note" x="${x + 12}" y="${groundY + 41}">${counts(room)}; each room above says how often it imports ${room.name} (↓ ${room.name})</text>`,
      `<text x="${x + 12}" y="${groundY + 61}" font-size="11">${room.owns}</text>`,
    ].join("\n");
  });
}
