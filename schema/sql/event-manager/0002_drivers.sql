-- Event drivers that run somewhere (decision 0018): who runs each, and where it stands.
create table driver_runs (
  driver uuid primary key,
  org text not null,
  name text not null,
  revision bigint not null default 1,  -- raised with each change of what is run
  owner text not null default '',
  epoch bigint not null default 0,     -- raised with each owner; every write names it
  expires_at timestamptz not null default '-infinity',
  position jsonb not null default '{}'
);
create index driver_runs_expires on driver_runs (expires_at);

-- What they say, the last lines of each.
create table driver_log (
  driver uuid not null,
  seq bigserial not null,
  at timestamptz not null,
  stream text not null,  -- stdout, stderr, or driver: what Dispatch says of it
  line text not null,
  primary key (driver, seq)
);
