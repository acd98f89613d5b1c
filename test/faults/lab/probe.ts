import postgres from "postgres";
import type { LocalPostgres } from "../../../lib/local/postgres.ts";

/**
 * A log of every write to a target and to the commits, kept by triggers that the loader knows nothing of. A row that
 * is written twice, or by a transaction that commits nothing, is seen there.
 */
const probeSql = `
  create schema probe;
  create table probe.writes (
    id bigint generated always as identity primary key,
    table_name text not null,
    operation text not null,
    key text not null,
    xid xid8 not null default pg_current_xact_id()
  );
  create index on probe.writes (table_name, key);

  create function probe.note() returns trigger language plpgsql as $$
  declare
    written jsonb := to_jsonb(case when tg_op = 'DELETE' then old else new end);
  begin
    insert into probe.writes (table_name, operation, key)
    values (tg_table_name, lower(tg_op),
            (select string_agg(written->>k.name, '|' order by k.place)
             from unnest(tg_argv) with ordinality as k(name, place)));
    return null;
  end $$;
`;

/** The natural keys of the sample's tables. */
export const naturalKeys: Readonly<Record<string, readonly string[]>> = {
  subject: ["global_subject_id"],
  blood: ["sample_id"],
  lcl: ["global_subject_id", "niddk_no"],
  specimen: ["sample_id"],
  dna: ["global_subject_id", "sample_id"],
  rna: ["sample_id"],
  serum: ["sample_id"],
  plasma: ["sample_id"],
  stool: ["sample_id"],
  tissue: ["sample_id"],
};

const watched = { ...naturalKeys, "table_loader.commits": ["batch_id", "epoch", "table_name"] };

export async function createProbe({ host, port, user, password, database }: LocalPostgres): Promise<void> {
  const sql = postgres({ host, port, user, password, database, max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(probeSql);
    for (const [table, key] of Object.entries(watched)) {
      const names = key.map((name) => `'${name}'`).join(", ");
      await sql.unsafe(`
        create trigger probe after insert or update or delete on ${table}
        for each row execute function probe.note(${names})`);
    }
  } finally {
    await sql.end();
  }
}
