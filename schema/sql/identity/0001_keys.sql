-- An API key's entity is named by its id; people name keys by their own names, one of a name in an
-- organisation.
create unique index apikeys_name on entities (org, (document->>'name')) where kind = 'apikey';

-- The few keys that may act in every organisation: asked for whenever one might be the last.
create index apikeys_global on entities (name)
  where kind = 'apikey' and document->>'global' = 'true';
