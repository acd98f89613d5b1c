-- When an object was last modified that came again, was judged, and has its row in common with what was loaded: without
-- versioning the same bytes are the same version.
alter table table_loader.object_versions add column redelivered timestamptz;
