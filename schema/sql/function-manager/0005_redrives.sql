-- Redrives of dead letters: what users asked for, and how far it is.
create table redrives (
  id uuid primary key,
  org text not null,
  subscription uuid not null,
  subscription_name text not null,
  filter text not null,         -- JSON, as users gave it
  rate_events bigint not null,  -- in rate_ms; 0: as fast as they are taken
  rate_ms bigint not null,
  paced_us bigint not null,     -- the rate is used up to here
  state text not null,          -- RUNNING, DONE, CANCELLED
  message text not null default '',
  total bigint not null,        -- letters that fitted when it began
  moved bigint not null default 0,
  created_ms bigint not null,   -- letters from later on are none of its own
  finished_ms bigint not null default 0
);
create unique index redrives_running on redrives (subscription) where state = 'RUNNING';
create index redrives_list on redrives (subscription, created_ms desc);
drop index dead_letters_chosen;
create index dead_letters_chosen on dead_letters (redrive, shard) where redrive is not null;
