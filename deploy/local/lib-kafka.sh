# shellcheck shell=bash
# Kafka: one or several KRaft nodes that are broker and controller at once. Sourced after lib.sh.
# Node N listens on KAFKA_PORTS[N-1]; its controller on KAFKA_CONTROLLER_PORTS[N-1].

KAFKA_DEPS=$DEPS_DIR/kafka
KAFKA_CLUSTER_ID=4L6g3nShT-eMCtK--X86sw
KAFKA_HEAP=${DISPATCH_KAFKA_HEAP:-256m}
# Who asks for a heap has it from the start: it stands still to grow, and its young part stays small.
KAFKA_FIRST_HEAP=${DISPATCH_KAFKA_HEAP:-64m}
# C1 only: starts faster and is cheaper for the short lives of a local broker. Benchmarks of the
# broker itself want DISPATCH_KAFKA_JIT="" (both compilers).
KAFKA_JIT=${DISPATCH_KAFKA_JIT--XX:TieredStopAtLevel=1}

java_bin() { printf '%s' "${JAVA_HOME:+$JAVA_HOME/bin/}java"; }

# The archive of loaded classes is bound to the exact class path, so it is always written the same.
kafka_class_path() {
  local jars=("$KAFKA_DEPS"/libs/*.jar)
  local IFS=:
  printf '%s' "${jars[*]}"
}

kafka_name() { if ((KAFKA_BROKERS == 1)); then printf 'kafka'; else printf 'kafka-%d' "$1"; fi; }
kafka_names() {
  local node
  for ((node = 1; node <= KAFKA_BROKERS; node++)); do
    printf '%s\n' "$(kafka_name "$node")"
  done
}
kafka_dir() { printf '%s/kafka/%d' "$HOME_DIR" "$1"; }
kafka_replicas() { printf '%d' $((KAFKA_BROKERS < 3 ? KAFKA_BROKERS : 3)); }
kafka_bootstrap() {
  local list=("${KAFKA_PORTS[@]/#/127.0.0.1:}")
  local IFS=,
  printf '%s' "${list[*]}"
}
kafka_voters() {
  local node list=()
  for ((node = 1; node <= KAFKA_BROKERS; node++)); do
    list+=("$node@127.0.0.1:${KAFKA_CONTROLLER_PORTS[node - 1]}")
  done
  local IFS=,
  printf '%s' "${list[*]}"
}

write_kafka_properties() {
  local node=$1 dir replicas min_isr=1 port=${KAFKA_PORTS[$1 - 1]} client=PLAINTEXT control=PLAINTEXT
  local listener name pairs more_listeners='' more_told='' more_protocols=''
  ! is_secure || client=SASL_SSL control=SSL
  dir=$(kafka_dir "$node")
  replicas=$(kafka_replicas)
  ((replicas < 3)) || min_isr=2
  for listener in "${EXTRA_LISTENERS[@]}"; do
    name=${listener%%:*}
    IFS=, read -ra pairs <<<"${listener#*:}"
    more_listeners+=,$name://127.0.0.1:${pairs[node - 1]%=*}
    more_told+=,$name://127.0.0.1:${pairs[node - 1]#*=}
    more_protocols+=,$name:PLAINTEXT
  done
  mkdir -p "$dir"
  rm -f "$dir/server.properties"
  (umask 077 && : >"$dir/server.properties") # it names a password when the stack is secure
  cat >"$dir/server.properties" <<EOF
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$(kafka_voters)
listeners=$client://127.0.0.1:$port,CONTROLLER://127.0.0.1:${KAFKA_CONTROLLER_PORTS[node - 1]}$more_listeners
advertised.listeners=$client://127.0.0.1:$port$more_told
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:$control,$client:$client$more_protocols
inter.broker.listener.name=$client
log.dirs=$dir/data
auto.create.topics.enable=false
default.replication.factor=$replicas
min.insync.replicas=$min_isr
offsets.topic.num.partitions=4
offsets.topic.replication.factor=$replicas
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$min_isr
share.coordinator.state.topic.num.partitions=2
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$min_isr
broker.session.timeout.ms=6000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=2000
leader.imbalance.check.interval.seconds=10
leader.imbalance.per.broker.percentage=0
num.network.threads=2
num.io.threads=3
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=16777216
EOF
  ! is_secure || secure_kafka_properties >>"$dir/server.properties"
}

format_kafka() {
  local node=$1 dir archive=()
  dir=$(kafka_dir "$node")
  [[ ! -f $dir/data/meta.properties ]] || return 0
  [[ ! -f $KAFKA_DEPS/kafka.jsa ]] || archive=(-XX:SharedArchiveFile="$KAFKA_DEPS/kafka.jsa")
  rm -rf "$dir/data"
  # By file: it names passwords when the stack is secure.
  (umask 077 && printf '%s\n' kafka.tools.StorageTool format -t "$KAFKA_CLUSTER_ID" \
    -c "\"$dir/server.properties\"" >"$dir/format.words")
  ! is_secure || kafka_scram_words >>"$dir/format.words"
  "$(java_bin)" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xlog:disable -Xmx128m \
    "${archive[@]}" -Dlog4j2.configurationFile="$LOCAL_DIR/kafka/log4j2.properties" \
    -cp "$(kafka_class_path)" "@$dir/format.words" >"$dir/format.log" 2>&1 ||
    die "Kafka could not format $(nice_path "$dir"): $(tail -n 3 "$dir/format.log")"
  rm "$dir/format.words"
}

# start_kafka_node NODE [JVM-OPTION...]
start_kafka_node() {
  local node=$1 name dir archive=(-XX:SharedArchiveFile="$KAFKA_DEPS/kafka.jsa")
  shift
  name=$(kafka_name "$node")
  dir=$(kafka_dir "$node")
  [[ -f $KAFKA_DEPS/kafka.jsa ]] || archive=()
  # shellcheck disable=SC2086 # KAFKA_JIT may be empty or several words
  spawn "$name" "$(java_bin)" "-Xms$KAFKA_FIRST_HEAP" "-Xmx$KAFKA_HEAP" -XX:+UseSerialGC \
    -XX:+ExitOnOutOfMemoryError -Xss256k -XX:MaxMetaspaceSize=128m -Xlog:disable \
    "${archive[@]}" $KAFKA_JIT "$@" \
    -Dlog4j2.configurationFile="$LOCAL_DIR/kafka/log4j2.properties" \
    -cp "$(kafka_class_path)" kafka.Kafka "$dir/server.properties"
}

# Starts the nodes that are dead, without waiting for them.
start_kafka() {
  local node pids=() existing=("$HOME_DIR"/kafka/*/data)
  if [[ -e ${existing[0]} && ${#existing[@]} -ne $KAFKA_BROKERS ]]; then
    die "$(nice_path "$HOME_DIR/kafka") holds ${#existing[@]} broker(s), --brokers asks for" \
      "$KAFKA_BROKERS: remove the data first with $(nice_path "$LOCAL_DIR/down") --purge"
  fi
  for ((node = 1; node <= KAFKA_BROKERS; node++)); do
    is_dead "$(kafka_name "$node")" || continue
    write_kafka_properties "$node"
    format_kafka "$node" &
    pids+=("$!")
  done
  for node in "${pids[@]}"; do
    wait "$node" || exit 1
  done
  for ((node = 1; node <= KAFKA_BROKERS; node++)); do
    is_alive "$(kafka_name "$node")" || start_kafka_node "$node"
  done
}

kafka_ready() {
  local config=()
  ! is_secure || config=(--config "$KAFKA_CLIENT_FILE")
  "$DEPS_DIR/bin/kafka-ready" --brokers "$(kafka_bootstrap)" --timeout "$1" \
    --replicas "$(kafka_replicas)" "${config[@]}" "${@:2}"
}

# Waits for an acks=all produce and its consumption; notices a node that dies meanwhile.
await_kafka() {
  local deadline=$((SECONDS + 60)) node name error
  until error=$(kafka_ready 3 2>&1 >/dev/null); do
    for ((node = 1; node <= KAFKA_BROKERS; node++)); do
      name=$(kafka_name "$node")
      is_alive "$name" || die_with_log "$name" "died while starting."
    done
    ((SECONDS < deadline)) || die_with_log "$(kafka_name 1)" "is not ready after 60 s ($error)."
  done
}
