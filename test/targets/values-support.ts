import { once } from "node:events";
import type postgres from "postgres";
import { openSession as openLoaderSession, openSql } from "../../lib/postgres/connection.ts";
import { toCopyFields } from "../../lib/targets/postgres/encode/copy-text.ts";
import type { TestDatabase } from "../support/database.ts";

export type Session = { readonly sql: postgres.ReservedSql; close(): Promise<void> };

/** A session of its own, which shows values alike whatever the server's settings are. */
export async function openSession({ server, name }: TestDatabase): Promise<Session> {
  const { host, port, user, password } = server;
  const connection = openSql({ host, port, user, database: name, password: () => password, tls: null });
  const { tx: sql, release } = await openLoaderSession(connection);
  await sql.unsafe("set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'");
  const close = async (): Promise<void> => {
    release();
    await connection.end({ timeout: 1 });
  };
  return { sql, close };
}

/** Which of the texts the type's input function takes. */
export async function validOnes(sql: postgres.Sql, type: string, texts: readonly string[]): Promise<boolean[]> {
  const rows = await sql<{ valid: boolean }[]>`
    select pg_input_is_valid(text, ${type}) as valid
    from unnest(${texts as string[]}::text[]) with ordinality as t(text, place) order by place
  `;
  return rows.map(({ valid }) => valid);
}

export type Storing = {
  readonly type: string;
  /** An expression over `value` that shows what is stored; `concat` shows the padding of char(n), too. */
  readonly show?: string;
};

/** Copies texts into a column of the type, as a load does, and reads back what is stored. */
export async function storeTexts(
  sql: postgres.ReservedSql,
  { type, show = "concat(value)" }: Storing,
  texts: readonly string[],
): Promise<string[]> {
  await sql.unsafe("drop table if exists pg_temp.held");
  await sql.unsafe(`create temp table held (place int, value ${type})`);
  const query = sql.unsafe("copy held from stdin");
  const stream = await query.writable();
  // The driver tells a refusal that comes after the last byte only to the query itself.
  const refused = new Promise<never>((_, reject) => Object.assign(query, { reject }));
  const finished = once(stream, "finish");
  stream.end(texts.map((text, place) => `${place}\t${toCopyFields([text])}\n`).join(""));
  await Promise.race([finished, refused]);
  const rows = await sql.unsafe<{ shown: string }[]>(`select (${show})::text as shown from held order by place`);
  return rows.map(({ shown }) => shown);
}
