# shellcheck shell=bash
# PostgreSQL: a private cluster on PG_PORT. Sourced after lib.sh. Each service has a role and a
# database of the same name; role `dispatch` is the operator's superuser. Loopback only. Unless the
# stack is secure there are no passwords: who can open a socket on the loopback can log in.

PG_BIN=${DISPATCH_PG_BIN:-/usr/lib/postgresql/15/bin}
PG_DIR=$HOME_DIR/postgres
PG_DATABASES=(dispatch_identity dispatch_event_manager dispatch_function_manager)

# PostgreSQL refuses to run as root: root runs it as the user that Debian's package made.
pg_user_prefix() {
  PG_PREFIX=()
  ((EUID == 0)) || return 0
  id -u postgres >/dev/null 2>&1 ||
    die "PostgreSQL does not run as root and there is no user postgres: run" \
      "$(nice_path "$LOCAL_DIR/install-deps")"
  PG_PREFIX=(setpriv --reuid=postgres --regid=postgres --clear-groups env -u HOME -C /)
}

pg_url() {
  printf 'postgresql://%s@127.0.0.1:%s/%s' "$1" "$PG_PORT" "${2:-$1}"
  ! is_secure || printf '?%s' "$(secure_pg_query "$1")"
}

# A socket's path must fit in 107 bytes, and PostgreSQL must be able to reach the directory.
pg_socket_dir() {
  local dir
  dir=$(readlink -m "$PG_DIR")/sock
  if is_secure || ((${#dir} >= 90)); then dir=; fi
  printf '%s' "$dir"
}

# Root's clone may lie where user postgres cannot go (/root): then only the database moves out.
pg_make_dir() {
  local outside
  mkdir -p "$HOME_DIR"
  if ((EUID != 0)); then
    mkdir -p "$PG_DIR"
    chmod 700 "$PG_DIR"
  elif [[ ! -e $PG_DIR ]] && ! "${PG_PREFIX[@]}" test -x "$HOME_DIR" 2>/dev/null; then
    outside=/var/lib/postgresql/dispatch-$(printf '%s' "$HOME_DIR" | hash_of | cut -c1-12)
    mkdir -p "$outside"
    ln -s "$outside" "$PG_DIR"
    say "  user postgres cannot enter $(nice_path "$HOME_DIR"): its data is in $outside"
  else
    mkdir -p "$PG_DIR"
  fi
  if ((EUID == 0)); then
    outside=$(readlink -f "$PG_DIR")
    chown postgres:postgres "$outside"
    chmod 700 "$outside"
    PG_REAL_DIR=$outside
  else
    PG_REAL_DIR=$PG_DIR
  fi
}

pg_write_settings() {
  cat <<EOF
listen_addresses = '127.0.0.1'
port = $PG_PORT
unix_socket_directories = '$(pg_socket_dir)'
shared_buffers = 32MB
max_connections = ${DISPATCH_PG_CONNECTIONS:-100}
max_wal_size = 256MB
wal_compression = on
autovacuum_max_workers = 1
max_parallel_workers = 0
jit = off
log_line_prefix = '%m [%p] %u@%d '
idle_in_transaction_session_timeout = 60s
EOF
}

pg_write_access() {
  local name
  if is_secure; then
    for name in "${PG_DATABASES[@]}"; do
      printf 'hostssl %s %s 127.0.0.1/32 scram-sha-256\n' "$name" "$name"
    done
    printf 'hostssl all dispatch 127.0.0.1/32 scram-sha-256\n'
    return
  fi
  printf 'local all dispatch trust\nhost all dispatch 127.0.0.1/32 trust\n'
  for name in "${PG_DATABASES[@]}"; do
    printf 'local %s %s trust\nhost %s %s 127.0.0.1/32 trust\n' "$name" "$name" "$name" "$name"
  done
}

pg_init() {
  local secret=()
  [[ ! -f $PG_REAL_DIR/ready ]] || return 0
  rm -rf "$PG_REAL_DIR/data"
  if is_secure; then
    install_for_pg "$(password_file postgres-dispatch)" "$PG_REAL_DIR/password"
    secret=(--pwfile="$PG_REAL_DIR/password")
  fi
  "${PG_PREFIX[@]}" "$PG_BIN/initdb" -D "$PG_REAL_DIR/data" -U dispatch -A trust -E UTF8 \
    --locale=C.UTF-8 "${secret[@]}" >>"$LOG_DIR/postgres.log" 2>&1 ||
    die_with_log postgres "could not make its cluster."
  rm -f "$PG_REAL_DIR/password"
  printf "include 'dispatch.conf'\n" >>"$PG_REAL_DIR/data/postgresql.conf"
}

# Starts PostgreSQL when it is dead, without waiting for it.
start_postgres() {
  [[ -x $PG_BIN/postgres ]] ||
    die "PostgreSQL 15 is missing in $PG_BIN: run $(nice_path "$LOCAL_DIR/install-deps")"
  ! is_alive postgres || return 0
  pg_user_prefix
  pg_make_dir
  pg_init
  [[ -z $(pg_socket_dir) ]] || "${PG_PREFIX[@]}" mkdir -p "$PG_REAL_DIR/sock"
  ! is_secure || install_pg_certificate
  {
    pg_write_settings
    ! is_secure || secure_pg_settings
  } >"$PG_REAL_DIR/data/dispatch.conf"
  pg_write_access >"$PG_REAL_DIR/data/pg_hba.conf"
  pg_clear_after_kill
  spawn postgres "${PG_PREFIX[@]}" "$PG_BIN/postgres" -D "$PG_REAL_DIR/data"
}

# psql as superuser: pg_sql < statements
pg_sql() { "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$(pg_url dispatch postgres)"; }
pg_answers() { [[ $(PGCONNECT_TIMEOUT=2 pg_sql <<<'select 1' 2>/dev/null) == 1 ]]; }

pg_make_databases() {
  local name secret
  [[ ! -f $PG_DIR/ready ]] || return 0
  for name in "${PG_DATABASES[@]}"; do
    secret=
    ! is_secure || secret="alter role $name password '$(password "postgres-$name")';"
    pg_sql <<<"select 'create role $name login' where not exists
        (select from pg_roles where rolname = '$name') \gexec
      $secret
      select 'create database $name owner $name' where not exists
        (select from pg_database where datname = '$name') \gexec
      revoke all on database $name from public"
  done
  pg_sql <<<'create database dispatch' 2>/dev/null || true # where `psql` lands without -d
  : >"$PG_DIR/ready"
}

# Waits for an answered query; then, the first time, makes roles and databases.
await_postgres() {
  local deadline=$((SECONDS + 60))
  until pg_answers; do
    is_alive postgres || die_with_log postgres "died while starting."
    ((SECONDS < deadline)) || die_with_log postgres "is not ready after 60 s."
    sleep 0.05
  done
  pg_make_databases
}

# SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
stop_postgres() { stop_part postgres 20 INT; }

# The children of a killed server keep the next one from starting until they notice and leave, and
# its lock file as long as nobody has reaped it (a container without an init never does).
pg_clear_after_kill() {
  if wait_until 10 pg_no_child; then
    rm -f "$PG_REAL_DIR"/{data/postmaster.pid,sock/.s.PGSQL.*}
  else
    warn "a PostgreSQL that this script does not know still runs in $(nice_path "$PG_DIR")"
  fi
}
pg_no_child() {
  local link
  for link in /proc/[0-9]*/cwd; do
    [[ $(readlink "$link" 2>/dev/null) != "$PG_REAL_DIR/data" ]] || return 1
  done
}

purge_postgres() {
  local outside
  [[ -e $PG_DIR || -L $PG_DIR ]] || return 0
  outside=$(readlink -f "$PG_DIR")
  case $outside in
    "$PG_DIR" | /var/lib/postgresql/dispatch-*) rm -rf "$outside" ;;
  esac
  rm -rf "$PG_DIR"
}
