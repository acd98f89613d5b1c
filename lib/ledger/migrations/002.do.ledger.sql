-- The ledger: who may act on a batch, what a load will do, how far it is, and what took effect.

create schema if not exists table_loader;
create schema if not exists table_loader_staging;

create table table_loader.batches (
  batch_id text primary key,
  state text not null default 'waiting' check (state in
    ('waiting', 'loading', 'committed', 'archived', 'loaded', 'failing', 'failed', 'rolled_back')),
  epoch integer not null default 1,
  attempt integer not null default 0,
  -- who may act: every takeover raises the fence, and every effect compares it
  fence bigint not null default 0,
  owner text,
  lease_until timestamptz,
  wake_seen bigint not null default 0,
  plan_id bigint,
  -- takeovers in a row during which no checkpoint moved
  idle_takeovers integer not null default 0,
  progress_seen bigint not null default 0,
  -- why the batch waits or is blocked
  reason_code text,
  reason text,
  waiting_since timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index batches_unfinished_idx on table_loader.batches (state, lease_until)
  where state in ('waiting', 'loading', 'committed', 'archived', 'failing');

-- A row of its own, so that an arrival never waits for a commit that holds the batch row.
create table table_loader.batch_wakes (
  batch_id text primary key,
  wake bigint not null default 0
);

create table table_loader.batch_tables (
  batch_id text not null,
  table_name text not null,
  epoch integer not null,
  state text not null check (state in ('waiting', 'loading', 'loaded', 'failed', 'held', 'rolled_back')),
  attempt integer not null default 0,
  records bigint not null default 0,
  fingerprint numeric not null default 0,
  updated_at timestamptz not null default now(),
  primary key (batch_id, table_name, epoch)
);

create table table_loader.contracts (
  hash text primary key,
  body text not null,
  first_valid_at timestamptz not null default now(),
  last_valid_at timestamptz not null default now()
);

create table table_loader.plans (
  plan_id bigint generated always as identity primary key,
  batch_id text not null,
  run_id text not null,
  kind text not null check (kind in ('load', 'compare', 'preview')),
  epoch integer not null,
  attempt integer not null,
  -- tables, strategy, contract and catalog hash, loader version: everything that the load is bound to
  body jsonb not null,
  -- checkpoints so far: a takeover sees by it whether the load moved
  progress bigint not null default 0,
  -- a preview has no batch row to hold its lease
  lease_until timestamptz,
  created_at timestamptz not null default now()
);
create index plans_batch_idx on table_loader.plans (batch_id);

create table table_loader.work_items (
  item_id bigint generated always as identity primary key,
  plan_id bigint not null references table_loader.plans on delete cascade,
  table_name text not null,
  kind text not null check (kind in ('fragment', 'marker', 'superseded')),
  -- where the object lies, and the key in staging that it arrived under: they differ when a retry reads failed/
  key text not null,
  home_key text not null,
  version_id text,
  etag text not null,
  size bigint not null,
  last_modified timestamptz not null,
  state text not null default 'pending' check (state in ('pending', 'done', 'failed')),
  owner_fence bigint,
  owner_worker integer,
  owner_until timestamptz,
  -- where reading goes on; null at the start
  position jsonb,
  -- checkpoints of this item: the compare-and-set of every slice
  slices integer not null default 0,
  records bigint not null default 0,
  rejected bigint not null default 0,
  nulled bigint not null default 0,
  bytes bigint not null default 0,
  fingerprint numeric not null default 0,
  error_code text,
  error_message text,
  archived_key text
);
create index work_items_plan_idx on table_loader.work_items (plan_id, state);

create table table_loader.rejects (
  reject_id bigint generated always as identity primary key,
  batch_id text not null,
  epoch integer not null,
  -- of a plan while it runs, of an attempt once it has failed
  plan_id bigint,
  attempt integer,
  item_id bigint,
  table_name text not null,
  key text not null,
  record bigint not null,
  field text,
  code text not null,
  expected text not null,
  got text,
  constraint_name text,
  raw text
);
create index rejects_plan_idx on table_loader.rejects (plan_id, table_name, item_id, record) where plan_id is not null;
create index rejects_attempt_idx on table_loader.rejects (batch_id, epoch, attempt) where attempt is not null;

create table table_loader.attempts (
  batch_id text not null,
  fence bigint not null,
  epoch integer not null,
  attempt integer not null,
  owner text not null,
  source text not null,
  state text not null default 'running',
  plan_id bigint,
  code text,
  message text,
  result jsonb,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  primary key (batch_id, fence)
);

-- Every object version ever seen, and what became of it.
create table table_loader.object_versions (
  key text not null,
  version text not null,
  epoch integer not null,
  batch_id text not null,
  table_name text not null,
  etag text not null,
  size bigint not null,
  last_modified timestamptz not null,
  state text not null check (state in
    ('seen', 'superseded', 'loaded', 'failed', 'duplicate', 'changed', 'rolled_back')),
  records bigint,
  fingerprint numeric,
  source_label text,
  archived_key text,
  first_seen timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (key, version, epoch)
);
create index object_versions_batch_idx on table_loader.object_versions (batch_id, epoch, table_name);
create index object_versions_content_idx on table_loader.object_versions (table_name, fingerprint)
  where state = 'loaded';

-- What took effect: inserted in the transaction that changes the targets, marked by a rollback, never deleted.
create table table_loader.commits (
  batch_id text not null,
  epoch integer not null,
  table_name text not null,
  attempt integer not null,
  fence bigint not null,
  plan_id bigint not null,
  counts jsonb not null default '{}',
  committed_at timestamptz not null default now(),
  rolled_back_at timestamptz,
  primary key (batch_id, epoch, table_name)
);

create table table_loader.undo_images (
  batch_id text not null,
  epoch integer not null,
  table_name text not null,
  operation text not null check (operation in ('insert', 'update')),
  row_key jsonb not null,
  -- json and not jsonb: it keeps the digits and the spelling of the stored values
  old_row json,
  recorded_at timestamptz not null default now()
);
create index undo_images_batch_idx on table_loader.undo_images (batch_id, epoch, table_name);

-- Events, starts and sweeps that had no effect, and why.
create table table_loader.outcomes (
  batch_id text not null,
  code text not null,
  source text not null,
  times bigint not null default 1,
  message text,
  first_at timestamptz not null default now(),
  last_at timestamptz not null default now(),
  primary key (batch_id, code, source)
);

-- Leases that belong to no batch, such as the sweep's.
create table table_loader.leases (
  name text primary key,
  owner text not null,
  lease_until timestamptz not null
);
