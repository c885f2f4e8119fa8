-- Filters, purge and redrive of dead letters. The index is built again from its topic, which has
-- what the new columns need.
truncate dead_letters, dead_letter_positions;
alter table dead_letters add column event_type text not null default '';
alter table dead_letters add column shard int;       -- partition of dispatch.invocations
alter table dead_letters add column sequence bigint;  -- and the record's place there
alter table dead_letters add column source_timestamp_ms bigint not null default 0;
-- The redrive that chose it: the owner of the shard makes its delivery pending again.
alter table dead_letters add column redrive uuid;
drop index dead_letters_list;
create index dead_letters_list on dead_letters
  (subscription, dead_lettered_ms, log_partition, log_offset);
create index dead_letters_chosen on dead_letters (shard, redrive) where redrive is not null;
create index dead_letters_place on dead_letters (log_partition, log_offset);
create index dead_letters_age on dead_letters using brin (dead_lettered_ms);

-- Deliveries whose letters left the index: read again in the topic, they stay away.
create table dead_letter_removals (
  topic uuid not null,
  source_partition int not null,
  source_offset bigint not null,
  subscription uuid not null,
  generation int not null,
  replay uuid not null,
  redrive uuid,  -- that made it pending again; none: purged
  removed_ms bigint not null,
  primary key (topic, source_partition, source_offset, subscription, generation, replay)
);
create index dead_letter_removals_age on dead_letter_removals using brin (removed_ms);
