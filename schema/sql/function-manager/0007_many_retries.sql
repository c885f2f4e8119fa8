-- A claim counts what waits: out of this index alone, not out of a table with the events.
create index retries_waiting on retries (partition, subscription, source_timestamp_ms);
-- Dead rows at the front of retries_due are in the way of what comes due.
alter table retries set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
  autovacuum_vacuum_insert_scale_factor = 0.02);
