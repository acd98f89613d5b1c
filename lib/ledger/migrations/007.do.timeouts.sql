-- How often the commit of this plan ran into its time limit: the first time is tried again, the second is the batch's.
alter table table_loader.plans add column timeouts integer not null default 0;
