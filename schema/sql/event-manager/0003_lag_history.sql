-- Looks at the lag of subscriptions, of the instance that leads (lag_archive.cc): a row is a minute of
-- them, kept for a day, or an hour of the worst of each 5 minutes, kept for 14 days. In partitions by
-- time, which are made ahead and dropped whole. After a change of the leader a minute may have two.
create table lag_minutes (
  begun_ms bigint not null,
  subscription uuid not null,
  looks bytea not null
) partition by range (begun_ms);
create index lag_minutes_find on lag_minutes (subscription, begun_ms);

create table lag_hours (like lag_minutes) partition by range (begun_ms);
create index lag_hours_find on lag_hours (subscription, begun_ms);
