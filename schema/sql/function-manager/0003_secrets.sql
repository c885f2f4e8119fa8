-- The values of secrets, encrypted: a key of its own for each secret, wrapped under the key of
-- `secrets-key-file`. What people may see is the entity.
create table secrets (
  org         text not null,
  name        text not null,
  version     bigint not null,
  key_id      text not null,
  wrapped_key bytea not null,
  box         bytea not null,
  primary key (org, name)
);
