-- Batches that are ready to be loaded and wait for their turn, in the order of their approval. One that was admitted
-- stays until its plan is written, so that nobody takes its place meanwhile.
create table table_loader.line (
  batch_id text primary key,
  -- the execution that asks for it
  owner text not null,
  approved_at timestamptz not null,
  joined_at timestamptz not null default clock_timestamp(),
  admitted boolean not null default false,
  workers integer not null default 0,
  -- whoever does not ask again in time loses its place
  expires_at timestamptz not null
);

alter table table_loader.plans
  -- how many workers the plan was given
  add column workers integer not null default 0;

alter table table_loader.batches
  -- how often the tables changed under a plan of the running load
  add column schema_changes integer not null default 0;
