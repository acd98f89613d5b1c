-- Which canonical text of a record a fingerprint was taken of: only fingerprints of one version can be compared.
alter table table_loader.object_versions add column fingerprint_version smallint not null default 1;
alter table table_loader.batch_tables add column fingerprint_version smallint not null default 1;
