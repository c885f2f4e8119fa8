-- Order by key: a row waits behind those of its key with a lower sequence (the offset of its record
-- in dispatch.invocations). Only the first of a key has a time when it is due.
alter table retries add column sequence bigint not null default 0;
alter table retries add column ordering_key bytea;
create index retries_order on retries (partition, subscription, ordering_key, sequence)
  where ordering_key is not null;
