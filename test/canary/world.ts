import postgres from "postgres";
import type { Flow } from "../support/flow.ts";
import { hex, type Marks, number } from "./marks.ts";

/** Tables with every type and every kind of constraint, and records for them that are marked in every value. */

export const schema = `
  create type mood as enum ('calm', 'wild');
  create domain short_code as text constraint code_form check (value ~ '^[A-Z]{2}-');
  create table vault (
    id text primary key, t text, v varchar(60), c char(30), n int, b bigint, d numeric(38,10), f float8, da date,
    ti time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, ta text[], ia int[], by bytea, ip inet,
    ma macaddr, ra int4range, m mood, co short_code
  );
  create table strict (
    k text primary key, needed text not null, positive bigint, only_one text unique, parent text references vault,
    span int8range, level mood, code short_code, note text, day date, short varchar(5),
    constraint is_positive check (positive > 0), constraint spans_apart exclude using gist (span with &&)
  );
  create function refuse() returns trigger language plpgsql as $$ begin
    if new.note like 'canary%' then
      raise exception 'refused % of %', new.note, new using detail = new.note, hint = new.needed;
    end if;
    return new;
  end $$;
  create trigger refuse before insert on strict for each row execute function refuse();
  create table parted (k text, region text, primary key (k, region)) partition by list (region);
  create table parted_eu partition of parted for values in ('eu');
`;

export const contracts = JSON.stringify({
  tables: {
    vault: { natural_key: ["id"], columns: { by: { bytea_encoding: "hex" } } },
    strict: { natural_key: ["k"] },
    parted: { natural_key: ["k", "region"] },
  },
});

const two = (value: number): string => String(value).padStart(2, "0");

/** A record of `vault` with a mark in every column; `id` is a mark as well. */
export function vaultRecord(marks: Marks, name: string, id = marks.word(`${name} key`)): Record<string, unknown> {
  const of = (column: string): string => `${name} ${column}`;
  const day = marks.keep(of("date"), `${number(4)}-0${number(1)}-${two(number(1) + 10)}`);
  const time = (column: string): string => marks.keep(of(column), `0${number(1)}:${number(1) + 20}:17.${number(6)}`);
  const from = number(8);
  return {
    id,
    t: marks.text(of("text")),
    v: marks.word(of("varchar")),
    c: marks.word(of("char")),
    n: Number(marks.digits(of("integer"), 9)),
    b: marks.digits(of("bigint"), 18),
    d: `${marks.digits(of("numeric"), 20)}.${marks.digits(of("fraction"), 10)}`,
    f: Number(marks.digits(of("float"), 12)),
    da: day,
    ti: time("time"),
    ts: `2024-05-06T${time("timestamp")}`,
    tz: `2024-05-06T${time("timestamptz")}Z`,
    u: marks.keep(of("uuid"), `${hex(4)}-${hex(2)}-${hex(2)}-${hex(2)}-${hex(6)}`),
    j: { inside: marks.text(of("json")) },
    jb: { inside: [marks.word(of("jsonb"))] },
    ta: [marks.text(of("text array")), null],
    ia: [Number(marks.digits(of("integer array"), 9))],
    by: `\\x${marks.keep(of("bytea"), hex(10))}`,
    ip: marks.keep(of("inet"), `2001:db8:a${number(3)}:b${number(3)}:c${number(3)}:d${number(3)}:e${number(3)}:1`),
    ma: marks.keep(of("macaddr"), hex(6).replaceAll(/..(?!$)/g, "$&:")),
    ra: `[${marks.keep(of("range"), String(from))},${from + 5})`,
    m: "calm",
    co: `AB-${marks.word(of("domain"))}`,
  };
}

/** For `strict`, each broken in a way of its own, by what refuses it. */
export function brokenRecords(marks: Marks): Record<string, Record<string, unknown>> {
  const base = (name: string) => ({ k: marks.word(`${name}: key`), needed: marks.word(`${name}: needed`) });
  const twice = marks.word("unique value");
  const from = number(11);
  const same = { ...base("duplicate"), short: "a" };
  return {
    "the first of a key": { ...same },
    "the second of a key": { ...same, needed: marks.word("the second of a key") },
    "not null": { ...base("not null"), needed: null, short: "b" },
    check: { ...base("check"), positive: `-${marks.digits("check value", 15)}` },
    "the first of unique": { ...base("first of unique"), only_one: twice },
    "the second of unique": { ...base("second of unique"), only_one: twice },
    "foreign key": { ...base("foreign key"), parent: marks.word("missing parent") },
    "the first span": { ...base("first span"), span: `[${marks.keep("first span", String(from))},${from + 10})` },
    "the second span": { ...base("second span"), span: `[${marks.keep("span", String(from + 2))},${from + 12})` },
    trigger: { ...base("trigger"), note: marks.text("trigger value") },
    enum: { ...base("enum"), level: marks.text("enum value") },
    domain: { ...base("domain"), code: marks.text("domain value") },
    date: { ...base("date"), day: marks.text("date value") },
    "a date that is none": { ...base("no date"), day: marks.keep("no date value", `${number(4)}-02-30`) },
    "too long": { ...base("too long"), short: marks.word("too long value") },
    type: { ...base("type"), positive: marks.word("type value") },
    range: { ...base("range"), positive: marks.digits("range value", 30) },
    nul: { ...base("nul"), note: `\u0000${marks.word("value with NUL")}` },
    surrogate: { ...base("surrogate"), note: `\ud800${marks.word("value with a surrogate")}` },
    object: { ...base("object"), needed: { in: marks.word("object value") } },
    unknown: { ...base("unknown"), no_such_field: marks.word("unknown field's value") },
    "no key": { k: null, needed: marks.word("value without key") },
  };
}

/** As docs/deploy.md says: the server's own words on the rows that broke a rule are left out. */
export async function logTersely({ database }: Flow): Promise<void> {
  const admin = postgres(database.server.adminUrl, { max: 1 });
  await admin`alter database ${admin(database.name)} set log_error_verbosity = terse`;
  await admin.end();
}
