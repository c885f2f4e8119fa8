-- Deliveries of events that are to be delivered later wait here from the start: their time, and 0 for
-- all others.
alter table retries add column deliver_at_ms bigint not null default 0;
drop index retries_waiting;
create index retries_waiting on retries (partition, subscription, source_timestamp_ms, deliver_at_ms);
