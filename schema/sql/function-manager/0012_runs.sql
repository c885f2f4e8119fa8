-- Runs of functions. A row that is waiting or running belongs to whoever has its lease; a run that
-- nobody finishes is begun again under the same id. No value of a secret is ever here.
create table runs (
  id uuid primary key,
  org text not null,
  function text not null,
  function_id uuid not null,
  faas_id uuid not null,
  status text not null,        -- INITIALIZED, CREATING, READY, ERROR
  request text not null,       -- JSON
  outcome text not null default '{}',  -- JSON
  executed_us bigint not null,
  finished_us bigint not null default 0,
  attempts int not null default 0,
  owner uuid,                  -- who has the lease
  lease_us bigint not null default 0  -- until when, by the database's clock; before: free
);
create index runs_by_org on runs (org, executed_us desc, id desc);
create index runs_by_function on runs (org, function, executed_us desc, id desc);
create index runs_open on runs (lease_us) where status in ('INITIALIZED', 'CREATING');
create index runs_by_end on runs (finished_us) where finished_us > 0;
