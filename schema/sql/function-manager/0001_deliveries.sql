-- Where each invocations partition stands: written by its owner, fenced by the epoch.
create table checkpoints (
  partition int primary key,
  epoch bigint not null,
  position bigint,
  state bytea not null default '',
  saved_at timestamptz not null default now()
);

-- The retry store: deliveries that wait, one shard for each invocations partition.
create table retries (
  partition int not null,
  topic uuid not null,
  source_partition int not null,
  source_offset bigint not null,
  subscription uuid not null,
  generation int not null,
  replay uuid not null,
  due_ms bigint not null,
  attempts int not null,
  first_attempt_ms bigint not null,
  source_timestamp_ms bigint not null,
  last_status int not null,
  last_error text not null,
  org text not null,
  topic_name text not null,
  event bytea not null,
  primary key (partition, topic, source_partition, source_offset, subscription, generation, replay)
);
create index retries_due on retries (partition, due_ms);
create index retries_position on retries (topic, source_partition, source_offset);

-- Attempts, for "where is my event".
create table attempts (
  topic uuid not null,
  source_partition int not null,
  source_offset bigint not null,
  subscription uuid not null,
  generation int not null,
  replay uuid not null,
  number int not null,
  at_ms bigint not null,
  latency_us bigint not null,
  status int not null,
  outcome text not null,
  message text not null,
  answer_head text not null,
  next_attempt_ms bigint not null,
  org text not null,
  subscription_name text not null
);
create index attempts_position on attempts (topic, source_partition, source_offset);
create index attempts_age on attempts using brin (at_ms);

-- The index of dispatch.dead-letters; built only from that topic.
create table dead_letters (
  topic uuid not null,
  source_partition int not null,
  source_offset bigint not null,
  subscription uuid not null,
  generation int not null,
  replay uuid not null,
  org text not null,
  topic_name text not null,
  subscription_name text not null,
  reason text not null,
  message text not null,
  attempts int not null,
  last_status int not null,
  first_attempt_ms bigint not null,
  last_attempt_ms bigint not null,
  dead_lettered_ms bigint not null,
  event bytea not null,
  log_partition int not null,
  log_offset bigint not null,
  primary key (topic, source_partition, source_offset, subscription, generation, replay)
);
create index dead_letters_list on dead_letters (org, subscription_name, dead_lettered_ms, log_offset);
create table dead_letter_positions (
  log_partition int primary key,
  next_offset bigint not null
);
