-- After an unclean end of its owner a partition's first deliveries run alone; the one that runs is
-- noted before, so that its crashes are counted (decision 0011).
alter table checkpoints add column clean boolean not null default true;
alter table checkpoints add column unclean_starts int not null default 0;  -- in a row
create table trials (
  partition int not null,
  topic uuid not null,
  source_partition int not null,
  source_offset bigint not null,
  subscription uuid not null,
  generation int not null,
  replay uuid not null,
  crashes int not null,  -- should it end now
  primary key (partition, topic, source_partition, source_offset, subscription, generation, replay)
);
