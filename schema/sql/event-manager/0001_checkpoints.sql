-- Where each event partition stands: written by its owner, fenced by the epoch of the assignment.
create table checkpoints (
  topic uuid not null,
  partition int not null,
  epoch bigint not null,
  position bigint,
  state bytea not null default '',
  saved_at timestamptz not null default now(),
  primary key (topic, partition)
);

-- Where each subscription stands in each partition (DESIGN section 4).
create table cursors (
  topic uuid not null,
  partition int not null,
  subscription uuid not null,
  generation int not null,
  live_from bigint not null,
  live_until bigint not null,
  paused_at bigint,
  version bigint not null,
  epoch bigint not null,
  primary key (topic, partition, subscription)
);
