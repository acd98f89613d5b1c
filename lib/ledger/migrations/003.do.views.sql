-- Views for monitoring. A load is STALLED when its lease ended or it has not moved for five minutes.

create view public.loader_status as
select b.batch_id as source,
       b.epoch as version,
       b.state as status,
       a.started_at as started,
       a.ended_at as completed,
       coalesce(w.records, t.records, 0) as processed,
       coalesce(c.imported, 0) as imported,
       coalesce(w.rejected, 0) as failed,
       case
         when b.reason_code is not null
              and (b.owner is not null or b.state in ('loading', 'committed', 'archived', 'failing'))
           then 'BLOCKED'
         when b.state in ('loading', 'committed', 'archived', 'failing')
              and (b.lease_until is null or b.lease_until < now() or b.updated_at < now() - interval '5 minutes')
           then 'STALLED'
         when b.state = 'failed' then 'FAILED'
         when b.state = 'waiting' then 'WAITING'
         else 'OK'
       end as health_status
from table_loader.batches b
left join table_loader.attempts a on a.batch_id = b.batch_id and a.fence = b.fence
left join lateral (
  select sum(i.records) as records, sum(i.rejected) as rejected
  from table_loader.work_items i
  where i.plan_id = b.plan_id and i.kind = 'fragment'
) w on true
left join lateral (
  select sum(bt.records) as records
  from table_loader.batch_tables bt
  where bt.batch_id = b.batch_id and bt.epoch = b.epoch
) t on true
left join lateral (
  select sum((c.counts->>'records_loaded')::bigint + (c.counts->>'records_updated')::bigint) as imported
  from table_loader.commits c
  where c.batch_id = b.batch_id and c.epoch = b.epoch and c.rolled_back_at is null
) c on true;

create view public.pending_loads as
select q.batch_id, q.table_name, q.total_records, q.validation_status, q.approved_for_load, q.approved_at,
       b.state as batch_state, b.reason_code, b.reason
from public.validation_queue q
left join table_loader.batches b using (batch_id)
where q.validation_status in ('pending', 'validated', 'loading');

create view public.load_history as
select a.batch_id, a.epoch, a.attempt, a.state, a.source, a.code, a.message, a.started_at, a.ended_at, a.result
from table_loader.attempts a;

create view public.load_performance as
select table_name,
       count(*) as loads,
       sum(records_loaded + records_updated) as records_affected,
       round(avg(load_time_seconds), 3) as average_seconds,
       round(sum(records_loaded + records_updated) / nullif(sum(load_time_seconds), 0), 1) as records_per_second
from public.load_audit_log
where loaded_at > now() - interval '30 days' and status <> 'failed'
group by table_name;
