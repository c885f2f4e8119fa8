-- The lists of a subscription show the dead letters of its replays too: `owner` is the subscription,
-- `subscription` stays whose delivery it was, the replay. Which subscription a letter of before is of
-- is not known when it was a replay's: nothing shows it, as nothing did.
alter table dead_letters add column owner uuid;
update dead_letters set owner = subscription;
alter table dead_letters alter column owner set not null;
drop index dead_letters_list;
create index dead_letters_list on dead_letters (owner, dead_lettered_ms, log_partition, log_offset);
