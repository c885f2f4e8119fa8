-- What every service database has: its entities, the outbox that tells the others of them, leases.

-- Versions are drawn under the row lock of the entity, so they rise with each change of it.
create sequence entity_version;

create table entities (
  kind text not null,
  org text not null,
  name text not null,
  uuid uuid not null,
  version bigint not null,
  document jsonb not null,
  primary key (kind, org, name)
);
create unique index entities_uuid on entities (uuid);

-- One row a change, in the transaction of the change. The relay reads rows whose transaction is older
-- than every running one, in (xid, seq) order: so none is passed over.
create table outbox (
  seq bigserial primary key,
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  org text not null,
  name text not null,
  uuid uuid not null,
  version bigint not null,
  deleted boolean not null,
  document jsonb not null,
  written_at timestamptz not null default clock_timestamp()
);
create index outbox_order on outbox (xid, seq);

-- Deleted entities keep their last version for a while, so that an older epoch's record can be
-- overwritten with the deletion again.
create table tombstones (
  kind text not null,
  org text not null,
  name text not null,
  uuid uuid not null,
  version bigint not null,
  deleted_at timestamptz not null default now(),
  primary key (kind, org, name)
);

create table leases (
  name text primary key,
  owner text not null,
  epoch bigint not null,
  expires_at timestamptz not null
);
