import { at } from "./rules.ts";
import { type Node, type Source, textsOf } from "./sources.ts";

/**
 * A duration that two files must agree on stands in lib/core/durations.ts only. What gives a copy away: its name says a
 * unit of time, and it has the name or the length of a shared one.
 */

/** Exports of lib/core/durations.ts; the end of a name says the unit, as in `leaseSeconds`. */
export type SharedDurations = Readonly<Record<string, number>>;

export type DurationRule = {
  readonly shared: SharedDurations;
  /** Private durations that are as long as a shared one by chance, each with the reason: `path name seconds`. */
  readonly allowed: Readonly<Record<string, string>>;
};

/** The numbers in a module's exports; those in an object as `stageWait.firstSeconds`. */
export function numbersOf(exports: object, prefix = ""): SharedDurations {
  const entries = Object.entries(exports).flatMap(([name, value]): [string, number][] => {
    if (typeof value === "number") return [[prefix + name, value]];
    const isGroup = typeof value === "object" && value !== null;
    return isGroup ? Object.entries(numbersOf(value as object, `${prefix}${name}.`)) : [];
  });
  return Object.fromEntries(entries);
}

/** Lengths up to this meet by chance: for them the names must have a word in common, too. */
const chanceSeconds = 60;

const unitSeconds = { milliseconds: 0.001, millis: 0.001, seconds: 1, minutes: 60, hours: 3600, days: 86_400 } as const;
const units = Object.entries(unitSeconds);
const saysTime = /(seconds|minutes|hours|days|millis|timeout|patience|interval|retention)/i;
/** Words that say nothing about what is measured. */
const plainWords = ["timeout", "interval", "patience", "wait", "longest", "first", "most", "max", "every", "period"];

/** What a number may mean, in seconds: where the name says no unit, seconds or milliseconds. */
function secondsOf(name: string, value: number): number[] {
  const said = units.find(([unit]) => wordsOf(name).includes(unit));
  return said ? [value * said[1]] : [value, value / 1000];
}

/** The length of a shared duration: in seconds if its name says no unit. */
export const inSeconds = (name: string, value: number): number => secondsOf(name, value)[0] ?? value;

/** `LEASE_SECONDS` and `leaseSeconds`: lease, seconds. */
const wordsOf = (name: string): string[] =>
  name
    .split(/[^A-Za-z]+|(?<=[a-z])(?=[A-Z])/)
    .map((word) => word.toLowerCase())
    .filter((word) => word !== "");

const isTelling = (word: string): boolean => !plainWords.includes(word) && !(word in unitSeconds);

type Found = { readonly node: Node; readonly name: string; readonly seconds: readonly number[] };

/** Literals of shared durations outside of lib/core/durations.ts, and what is allowed without need. */
export function durationBreaches(sources: readonly Source[], { shared, allowed }: DurationRule): string[] {
  const copies = sources.flatMap((source) =>
    durationsOf(source).flatMap((found) => {
      const names = Object.keys(shared);
      const original =
        names.find((name) => name === found.name) ?? names.find((name) => isCopy(found, name, shared[name] as number));
      const what = `${found.name} ${found.seconds[0]}`;
      return original
        ? [{ key: `${source.path} ${what}`, text: at(source, found.node, `${what} is ${original}`) }]
        : [];
    }),
  );
  const needless = Object.keys(allowed).filter((key) => !copies.some((copy) => copy.key === key));
  return [
    ...copies.filter(({ key }) => !(key in allowed)).map(({ text }) => text),
    ...needless.map((key) => `${key} is allowed without need`),
  ];
}

function isCopy({ name, seconds }: Found, original: string, value: number): boolean {
  const length = inSeconds(original, value);
  if (!seconds.some((candidate) => Math.abs(candidate - length) < 0.0005)) return false;
  return length > chanceSeconds || wordsOf(name).some((word) => isTelling(word) && wordsOf(original).includes(word));
}

/** Every number that is said to be a time: by its name, by `Duration.minutes(5)` or by `interval '5 minutes'`. */
function durationsOf(source: Source): Found[] {
  return [...namedDurations(source), ...cdkDurations(source), ...sqlIntervals(source)];
}

/** Constants, properties, parameters and their defaults. */
function namedDurations({ nodes }: Source): Found[] {
  return nodes.flatMap((node) => {
    const [key, value] = initialised(node);
    const name = String((key as Node | null)?.name ?? (key as Node | null)?.value ?? "");
    if (!saysTime.test(name)) return [];
    return numbersIn(value).map((number) => ({ node, name, seconds: secondsOf(name, number) }));
  });
}

function initialised(node: Node): readonly [unknown, unknown] {
  // `{ timeout = 5 }` is a property whose value is the pattern `timeout = 5`, which is looked at for itself
  if ((node.value as Node | null)?.type === "AssignmentPattern") return [null, null];
  if (node.type === "VariableDeclarator") return [node.id, node.init];
  if (node.type === "Property" || node.type === "PropertyDefinition") return [node.key, node.value];
  return node.type === "AssignmentPattern" ? [node.left, node.right] : [null, null];
}

/** The constant numbers that an expression may come to: those of `x ? 30 : 7`, `x ?? 30`, `whole(1).default(30)`. */
function numbersIn(value: unknown): number[] {
  if (!value) return [];
  const node = value as Node;
  const constant = constantOf(node);
  if (constant !== null) return constant === 0 ? [] : [constant];
  return outcomes(node).flatMap(numbersIn);
}

function outcomes(node: Node): readonly unknown[] {
  if (node.type === "ConditionalExpression") return [node.consequent, node.alternate];
  if (node.type === "LogicalExpression") return [node.left, node.right];
  if (node.type.startsWith("TS")) return [node.expression];
  const { property } = (node.callee ?? {}) as { property?: Node };
  return node.type === "CallExpression" && property?.name === "default" ? (node.arguments as readonly Node[]) : [];
}

function constantOf(node: Node): number | null {
  if (node.type === "Literal") return typeof node.value === "number" ? node.value : null;
  if (node.type !== "BinaryExpression") return null;
  const [left, right] = [constantOf(node.left as Node), constantOf(node.right as Node)];
  if (left === null || right === null) return null;
  if (node.operator === "*") return left * right;
  if (node.operator === "/") return left / right;
  return node.operator === "+" ? left + right : node.operator === "-" ? left - right : null;
}

function isCdk(node: Node): boolean {
  const { object, property } = (node.callee ?? {}) as { object?: Node; property?: Node };
  return node.type === "CallExpression" && object?.name === "Duration" && String(property?.name) in unitSeconds;
}

/** `Duration.minutes(5)`, under the name of the constant or property that it stands in. */
function cdkDurations({ nodes }: Source): Found[] {
  return nodes.filter(isCdk).flatMap((node) => {
    const unit = String(((node.callee as Node).property as Node).name) as keyof typeof unitSeconds;
    const around = nodes.findLast((outer) => isWithin(node, initialised(outer)[1]));
    const key = around ? (initialised(around)[0] as Node) : null;
    const name = String(key?.name ?? key?.value ?? "Duration");
    return (node.arguments as readonly Node[])
      .flatMap(numbersIn)
      .map((value) => ({ node, name, seconds: [value * unitSeconds[unit]] }));
  });
}

function isWithin(node: Node, outer: unknown): boolean {
  const { start, end } = (outer ?? { start: 0, end: 0 }) as Node;
  return start <= node.start && node.end <= end;
}

const interval = /interval '(\d+) (second|minute|hour|day)s?'/g;

/** The lengths of `interval '5 minutes'` in SQL, in seconds. */
export function intervalsIn(sql: string): number[] {
  return [...sql.matchAll(interval)].map(
    ([, count, unit]) => Number(count) * unitSeconds[`${unit}s` as keyof typeof unitSeconds],
  );
}

function sqlIntervals(source: Source): Found[] {
  return textsOf(source).flatMap(({ node, text }) =>
    intervalsIn(text).map((seconds) => ({ node, name: "interval", seconds: [seconds] })),
  );
}

/** Of the views and functions whose names match, the last statement in the migrations that makes each. */
export function lastDefinitions(migrations: string, name: RegExp): string[] {
  const statements = migrations.split(/^(?=(?:create|drop|alter|grant|insert|comment|do)\b)/m);
  const byName = new Map<string, string>();
  for (const statement of statements) {
    const [, made = ""] = /^create (?:or replace )?(?:view|function) (?:\w+\.)?(\w+)/.exec(statement) ?? [];
    if (name.test(made)) byName.set(made, statement);
  }
  return [...byName.values()];
}
