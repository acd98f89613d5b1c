-- Undo images in packs: a row of the ledger for some thousand rows of a table instead of one for each.

alter table table_loader.undo_images
  add column rows integer not null default 1,
  -- an array of objects of the natural key, and the old rows in the same order; json keeps digits and spelling
  add column row_keys json,
  add column old_rows json;
update table_loader.undo_images
set row_keys = json_build_array(row_key), old_rows = case when old_row is not null then json_build_array(old_row) end;
alter table table_loader.undo_images
  alter column row_keys set not null,
  alter column rows drop default,
  drop column row_key,
  drop column old_row;

create view table_loader.undo_rows as
select u.batch_id, u.epoch, u.table_name, u.operation, k.row_key, u.old_rows -> (k.place::int - 1) as old_row, u.recorded_at
from table_loader.undo_images u
cross join lateral json_array_elements(u.row_keys) with ordinality as k(row_key, place);

-- A reject of a record that is in staging, and not one that the transform left out.
alter table table_loader.rejects add column staged boolean not null default false;
