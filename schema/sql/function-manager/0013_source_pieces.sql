-- Sources that are too large for one request, piece by piece: until the last one has come and they
-- are in function_sources, or for some minutes when it never does. The row with number -1 has the
-- digest of an upload that is whole, for who asks again.
create table source_pieces (
  upload uuid not null,
  number int not null,
  org text not null,
  bytes bytea not null,
  created_at timestamptz not null default now(),
  primary key (upload, number)
);
alter table source_pieces alter column bytes set storage external; -- they are compressed already
create index source_pieces_org on source_pieces (org);
create index source_pieces_age on source_pieces (created_at);
