-- What the sweep heals, and what it needs for that.

create table table_loader.healings (
  healing_id bigint generated always as identity primary key,
  -- null where no batch is known
  batch_id text,
  kind text not null,
  detail text not null,
  healed_at timestamptz not null default clock_timestamp()
);
create index healings_batch_idx on table_loader.healings (batch_id, healed_at);
create index healings_time_idx on table_loader.healings (healed_at);

-- How far the sweep came in staging and archive; it goes on from there.
create table table_loader.cursors (
  name text primary key,
  position text not null,
  moved_at timestamptz not null default clock_timestamp()
);

-- stray: lies in the archive, and no commit is known
alter table table_loader.object_versions drop constraint object_versions_state_check;
alter table table_loader.object_versions add constraint object_versions_state_check check (state in
  ('seen', 'superseded', 'loaded', 'failed', 'duplicate', 'changed', 'rolled_back', 'stray'));
create index object_versions_archived_idx on table_loader.object_versions (archived_key) where archived_key is not null;
create index object_versions_stray_idx on table_loader.object_versions (batch_id, epoch) where state = 'stray';

alter table table_loader.batches
  -- the fence of an execution that was ended from outside, until its attempt is ended, too
  add column aborted_fence bigint;

-- so that it is found what has not moved for the longest time
create index batches_held_idx on table_loader.batches (updated_at) where owner is not null;
