-- Undo images in packs: a row of the ledger for some thousand rows of a table instead of one for each.

alter table table_loader.undo_images
  add column rows integer not null default 1,
  -- by each column of the natural key an array of texts, and the old rows in the same order; json keeps digits and
  -- spelling
  add column row_keys json,
  add column old_rows json;
update table_loader.undo_images
set row_keys = (select json_object_agg(k.name, json_build_array(k.value)) from json_each_text(row_key::json) as k(name, value)),
    old_rows = case when old_row is not null then json_build_array(old_row) end;
-- compressing the keys of a million rows takes a second
alter table table_loader.undo_images alter column row_keys set storage external;
alter table table_loader.undo_images
  alter column row_keys set not null,
  alter column rows drop default,
  drop column row_key,
  drop column old_row;

create view table_loader.undo_rows as
select u.batch_id, u.epoch, u.table_name, u.operation, k.row_key, o.old_row, u.recorded_at
from table_loader.undo_images u
cross join lateral (
  select e.place, json_object_agg(c.name, e.value) as row_key
  from json_each(u.row_keys) as c(name, texts)
  cross join lateral json_array_elements_text(c.texts) with ordinality as e(value, place)
  group by e.place
) k
left join lateral json_array_elements(u.old_rows) with ordinality as o(old_row, place) on o.place = k.place;

-- A reject of a record that is in staging, and not one that the transform left out.
alter table table_loader.rejects add column staged boolean not null default false;

-- Checkpoints are counted by work item: a counter of the plan's own made all workers wait for each other.
alter table table_loader.plans drop column progress;
