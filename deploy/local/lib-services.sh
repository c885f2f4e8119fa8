# shellcheck shell=bash
# The settings of one local stack and its four services; brings in the other libraries.

# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/lib-kafka.sh
. "$LOCAL_DIR/lib-kafka.sh"
# shellcheck source=deploy/local/lib-postgres.sh
. "$LOCAL_DIR/lib-postgres.sh"
# shellcheck source=deploy/local/lib-secure.sh
. "$LOCAL_DIR/lib-secure.sh"

# Every port by name, with its default; more brokers than one take the next ones, 10 apart.
declare -A PORTS=([kafka]=19092 [kafka-controller]=19093 [pg]=25432 [api]=8080 [endpoints]=8081
  [endpoints-tls]=8444
  [event-manager-admin]=9091 [function-manager-admin]=9092 [api-gateway-admin]=9093
  [identity-admin]=9094)
# shellcheck disable=SC2034 # used by up
PORT_NAMES=(kafka kafka-controller pg api endpoints endpoints-tls identity-admin event-manager-admin
  function-manager-admin api-gateway-admin)
KAFKA_BROKERS=1
KAFKA_PORTS=()
KAFKA_CONTROLLER_PORTS=()
PG_PORT=
INVOCATIONS_PARTITIONS=${DISPATCH_INVOCATIONS_PARTITIONS:-16}
EXTRA_SETTINGS=() # "KEY=VALUE" for all services, "SERVICE:KEY=VALUE" for one
# shellcheck disable=SC2034 # used by lib-kafka.sh
EXTRA_LISTENERS=() # "NAME:PORT=TOLD,..." with one PORT=TOLD a node
STARTED=()
ONLY=(kafka postgres "${SERVICES[@]}")

# Named ports -> the variables that the libraries read.
derive_ports() {
  local node
  PG_PORT=${PORTS[pg]}
  KAFKA_PORTS=()
  KAFKA_CONTROLLER_PORTS=()
  for ((node = 1; node <= KAFKA_BROKERS; node++)); do
    KAFKA_PORTS+=("${PORTS[kafka-$node]:-$((PORTS[kafka] + 10 * (node - 1)))}")
    KAFKA_CONTROLLER_PORTS+=(
      "${PORTS[kafka-controller-$node]:-$((PORTS[kafka-controller] + 10 * (node - 1)))}")
  done
}

save_settings() {
  declare -p PORTS KAFKA_BROKERS INVOCATIONS_PARTITIONS EXTRA_SETTINGS EXTRA_LISTENERS PRESET SECURE |
    sed 's/^declare -[^ ]* //' >"$RUN_DIR/settings"
}
load_settings() {
  [[ -f $RUN_DIR/settings ]] || return 1
  # shellcheck disable=SC1091
  . "$RUN_DIR/settings"
  : "${PORTS[endpoints-tls]:=8444}" # not in those that an older up wrote
  derive_ports
}
require_settings() {
  load_settings || die "nothing was ever started in $(nice_path "$HOME_DIR"):" \
    "run $(nice_path "$LOCAL_DIR/up") first, or set DISPATCH_HOME"
}

part_names() {
  kafka_names
  printf '%s\n' postgres "${SERVICES[@]}"
}
any_alive() {
  local file
  for file in "$RUN_DIR"/*.pid; do
    [[ ! -f $file ]] || is_dead "$(basename "$file" .pid)" || return 0
  done
  return 1
}
is_wanted() { [[ " ${ONLY[*]} " == *" $1 "* ]]; }
is_service() { [[ " ${SERVICES[*]} " == *" $1 "* ]]; }

admin_url() { printf 'http://127.0.0.1:%s' "${PORTS[$1-admin]}"; }
api_url() { printf 'http://127.0.0.1:%s' "${PORTS[api]}"; }
key_file() { printf '%s/keys/%s.key' "$HOME_DIR" "$1"; }

# A key that services read: `service`, or `secrets`.
make_key() {
  local file
  file=$(key_file "$1")
  mkdir -p "$HOME_DIR/keys"
  chmod 700 "$HOME_DIR/keys"
  [[ -s $file ]] || (umask 077 && random_hex 32 >"$file")
}

# What a service is told, one KEY=VALUE a line.
service_settings() {
  local name=$1 setting
  printf '%s\n' "DISPATCH_KAFKA_BROKERS=$(kafka_bootstrap)" \
    "DISPATCH_SERVICE_KEY_FILE=$(key_file service)" \
    "DISPATCH_ADMIN_LISTEN=127.0.0.1:${PORTS[$name-admin]}" \
    "DISPATCH_REPLICATION_FACTOR=$(kafka_replicas)" "DISPATCH_INSTANCE_ID=$name-1"
  ! is_secure || printf '%s\n' DISPATCH_KAFKA_SECURITY_PROTOCOL=sasl_ssl \
    "DISPATCH_KAFKA_SSL_CA=$TLS_DIR/ca.crt" "DISPATCH_CONFIG=$KEYS_DIR/$name.conf"
  case $name in
    identity)
      printf 'DISPATCH_PG_URL=%s\n' "$(pg_url dispatch_identity)"
      printf 'DISPATCH_BOOTSTRAP_KEY_FILE=%s\n' "$(key_file admin)"
      ;;
    event-manager)
      printf 'DISPATCH_PG_URL=%s\n' "$(pg_url dispatch_event_manager)"
      printf 'DISPATCH_INVOCATIONS_PARTITIONS=%s\n' "$INVOCATIONS_PARTITIONS"
      printf 'DISPATCH_ALLOW_PRIVATE_SOURCES=true\n'
      printf 'DISPATCH_DRIVERS_DIR=%s/drivers\n' "$HOME_DIR"
      ;;
    function-manager)
      printf 'DISPATCH_PG_URL=%s\n' "$(pg_url dispatch_function_manager)"
      printf 'DISPATCH_INVOCATIONS_PARTITIONS=%s\n' "$INVOCATIONS_PARTITIONS"
      printf 'DISPATCH_ALLOW_PRIVATE_SINKS=true\n'
      printf 'DISPATCH_SECRETS_KEY_FILE=%s\n' "$(key_file secrets)"
      printf 'DISPATCH_FUNCTIONS_DIR=%s/functions\n' "$HOME_DIR"
      printf 'DISPATCH_RUNTIMES_DIR=%s/build/%s/runtimes\n' "$REPO_DIR" "$PRESET"
      printf 'DISPATCH_FUNCTIONS_NETWORK_ALLOW=%s\n' "$("$REPO_DIR/deploy/local/registries" || true)"
      ;;
    api-gateway)
      printf 'DISPATCH_LISTEN=127.0.0.1:%s\n' "${PORTS[api]}"
      printf 'DISPATCH_ENDPOINTS_LISTEN=127.0.0.1:%s\n' "${PORTS[endpoints]}"
      ! is_secure || printf '%s\n' "DISPATCH_ENDPOINTS_TLS_LISTEN=127.0.0.1:${PORTS[endpoints-tls]}" \
        "DISPATCH_ENDPOINTS_TLS_CERTIFICATE=$TLS_DIR/endpoints.crt" \
        "DISPATCH_ENDPOINTS_TLS_KEY=$TLS_DIR/endpoints.key"
      ;;
  esac
  for setting in "${EXTRA_SETTINGS[@]}"; do
    case $setting in
      "$name":*=*) printf '%s\n' "${setting#*:}" ;;
      [A-Z]*=*) printf '%s\n' "$setting" ;;
    esac
  done
}

# Starts a service that is dead, without waiting. It sees these settings and no other DISPATCH_*.
start_service() {
  local name=$1 binary=$REPO_DIR/build/$PRESET/bin/$1 settings variable scrub=()
  ! is_alive "$name" || return 0
  [[ -x $binary ]] || die "$(nice_path "$binary") is missing: build it (run up without --no-build)"
  for variable in $(compgen -v DISPATCH_); do
    scrub+=(-u "$variable")
  done
  mapfile -t settings < <(service_settings "$name")
  spawn "$name" env "${scrub[@]}" "${settings[@]}" "$binary"
}

service_answers() {
  [[ $(curl -s -o "$RUN_DIR/$1.readyz" -w '%{http_code}' --max-time 2 \
    "$(admin_url "$1")/readyz" 2>/dev/null) == 200 ]]
}

# The gateway is ready before it has heard of the first key of a new installation.
api_takes_key() {
  [[ $(curl -s -o /dev/null -w '%{http_code}' --max-time 2 "$(api_url)/v1/status" \
    -H @<(printf 'Authorization: Bearer %s' "$(<"$(key_file admin)")") 2>/dev/null) == 200 ]]
}

await_service() {
  local name=$1 deadline=$((SECONDS + ${DISPATCH_READY_TIMEOUT:-60}))
  until service_answers "$name"; do
    is_alive "$name" || die_with_log "$name" "died while starting."
    ((SECONDS < deadline)) || die_with_log "$name" "is not ready after" \
      "${DISPATCH_READY_TIMEOUT:-60} s: $(cat "$RUN_DIR/$name.readyz" 2>/dev/null)"
    sleep 0.05
  done
  [[ $name == api-gateway && -s $(key_file admin) ]] && is_alive identity || return 0
  wait_until 20 api_takes_key ||
    warn "the API does not take the key in $(nice_path "$(key_file admin)"): identity's log tells more"
}

build_services() {
  cd "$REPO_DIR"
  [[ -f build/$PRESET/build.ninja ]] || cmake --preset "$PRESET"
  cmake --build --preset "$PRESET" --target "${SERVICES[@]}" dispatch
}

# What a user or a test sources to talk to this stack.
write_env() {
  local name variable
  {
    printf '# . this file to talk to the stack; written by deploy/local/up\n'
    printf 'export %s=%q\n' DISPATCH_HOME "$HOME_DIR" DISPATCH_KAFKA_BROKERS "$(kafka_bootstrap)" \
      DISPATCH_API_URL "$(api_url)" DISPATCH_API_KEY_FILE "$(key_file admin)" \
      DISPATCH_ENDPOINTS_URL "http://127.0.0.1:${PORTS[endpoints]}" \
      DISPATCH_PG_HOST 127.0.0.1 DISPATCH_PG_PORT "$PG_PORT" \
      DISPATCH_PG_SOCKET_DIR "$(pg_socket_dir)" \
      DISPATCH_PG_SUPERUSER_URL "$(pg_url dispatch postgres)"
    ! is_secure || printf 'export %s=%q\n' DISPATCH_KAFKA_CLIENT_FILE "$KAFKA_CLIENT_FILE" \
      DISPATCH_ENDPOINTS_TLS_URL "https://127.0.0.1:${PORTS[endpoints-tls]}" \
      DISPATCH_TLS_CA_FILE "$TLS_DIR/ca.crt"
    for name in "${SERVICES[@]}"; do
      variable=${name//-/_}
      printf 'export DISPATCH_%s_ADMIN_URL=%s\n' "${variable^^}" "$(admin_url "$name")"
    done
    for name in "${PG_DATABASES[@]}"; do
      printf 'export DISPATCH_PG_URL_%s=%q\n' "$(tr '[:lower:]' '[:upper:]' <<<"${name#dispatch_}")" \
        "$(pg_url "$name")"
    done
  } >"$RUN_DIR/env"
}

# What a user calls a part -> the part. `kafka` means the first node of several.
part_of() {
  local name
  for name in $(part_names); do
    [[ $name != "$1" ]] || { printf '%s' "$name" && return; }
  done
  [[ $1 != kafka ]] || { kafka_name 1 && return; }
  usage_error "unknown part $1; there are: $(part_names | tr '\n' ' ')"
}

# Starts one part and waits until it is ready.
start_part() {
  case $1 in
    kafka*) start_kafka && await_kafka ;;
    postgres) start_postgres && await_postgres ;;
    *) start_service "$1" && await_service "$1" ;;
  esac
}

# stop_parts NAME...: gateway first, so that nothing new comes in; the rest in parallel; then
# PostgreSQL and Kafka.
stop_parts() {
  local group name pids
  for group in "api-gateway" "event-manager function-manager identity" "postgres $(kafka_names)"; do
    pids=()
    for name in $group; do
      [[ " $* " == *" $name "* && -f $RUN_DIR/$name.pid ]] || continue
      stop_one "$name" &
      pids+=("$!")
    done
    ((${#pids[@]} == 0)) || wait "${pids[@]}"
  done
}
stop_one() {
  case $1 in
    postgres) stop_postgres ;;
    *) stop_part "$1" "${DISPATCH_STOP_TIMEOUT:-25}" ;;
  esac
}
