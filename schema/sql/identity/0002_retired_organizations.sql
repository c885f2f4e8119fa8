-- The names of deleted organisations. They are not given again: what other services still hold
-- under such a name would become the new organisation's.
create table retired_organizations (
  name       text primary key,
  retired_at timestamptz not null default now()
);
