-- The first reply to each mutation, by the requester's key: a repeat gets it again and changes
-- nothing. A row without reply is of a transaction that has not ended; nobody else sees it.
create table idempotency (
  org text not null,
  key text not null,
  request_hash bytea not null,
  reply text,
  created_at timestamptz not null default now(),
  primary key (org, key)
);
create index idempotency_created on idempotency (created_at);
