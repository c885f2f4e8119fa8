-- Functions that function-manager keeps and runs (decision 0017): what is too large for their
-- entities, and the work that makes them READY.

-- Archives as users sent them (tar.gz), by the SHA-256 of their bytes.
create table function_sources (
  digest text primary key,
  bytes bytea not null,
  created_at timestamptz not null default now()
);

-- What the directory images/<digest> is made of.
create table function_images (
  digest text primary key,
  language text not null,
  manifest text not null,  -- requirements.txt, package.json or pom.xml
  created_at timestamptz not null default now()
);

-- The versions of functions that served, the last of each.
create table function_versions (
  function uuid not null,
  number int not null,
  document jsonb not null,
  created_at timestamptz not null default now(),
  primary key (function, number)
);

-- What is to be made READY. A row goes when it is, or cannot be.
create table function_work (
  entity uuid primary key,
  kind text not null,    -- baseimage, image, function
  org text not null,
  name text not null,
  target uuid not null,  -- drawn by each change: a finished step of an older one counts for nothing
  attempts int not null default 0,
  due timestamptz not null default now(),
  owner text not null default '',
  leased_until timestamptz not null default '-infinity'
);
create index function_work_due on function_work (due);
