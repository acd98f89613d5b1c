-- A batch that somebody holds and that has a reason is blocked, also while it is still waiting to be planned.

create or replace view public.loader_status as
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
