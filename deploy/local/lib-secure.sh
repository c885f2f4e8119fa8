# shellcheck shell=bash
# What `up --secure` adds: a certificate authority of this stack's own, certificates for Kafka,
# PostgreSQL and the endpoints, and a password for each user of them. Sourced after lib.sh. Made once, kept in the
# home; no password is ever on a command line.

TLS_DIR=$HOME_DIR/tls
KEYS_DIR=$HOME_DIR/keys
# shellcheck disable=SC2034 # used by lib-kafka.sh
KAFKA_CLIENT_FILE=$KEYS_DIR/kafka-client.properties
# `broker` is Kafka's own user, `dispatch` the operator's.
KAFKA_USERS=(broker dispatch "${SERVICES[@]}")

password_file() { printf '%s/%s.password' "$KEYS_DIR" "$1"; }

# password KIND-USER: of a user of Kafka or PostgreSQL, made when it is first asked for.
password() {
  local file
  file=$(password_file "$1")
  [[ -s $file ]] || (umask 077 && random_hex 24 >"$file")
  cat "$file"
}

random_hex() { od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }

# A text as part of a URL.
url_encoded() {
  local text=$1 i char
  for ((i = 0; i < ${#text}; i++)); do
    char=${text:i:1}
    case $char in
      [a-zA-Z0-9._~/-]) printf '%s' "$char" ;;
      *) printf '%s' "$char" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g' ;;
    esac
  done
}

new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# make_authority NAME: NAME.key and NAME.crt in the current directory.
make_authority() {
  new_key "$1.key"
  openssl req -x509 -new -key "$1.key" -sha256 -days 3650 -subj "/CN=Dispatch local authority" \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 \
    -addext keyUsage=critical,keyCertSign,cRLSign -out "$1.crt"
}

# make_certificate NAME: for this machine's loopback, signed by ca.
make_certificate() {
  new_key "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -set_serial "0x$(random_hex 16)" \
    -sha256 -days 3650 -out "$1.crt" -extfile <(printf '%s\n' \
      basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
      extendedKeyUsage=serverAuth,clientAuth subjectAltName=IP:127.0.0.1,DNS:localhost \
      subjectKeyIdentifier=hash authorityKeyIdentifier=keyid) 2>/dev/null
  rm "$1.csr"
}

make_certificates() {
  local new=$TLS_DIR.new
  if [[ -d $TLS_DIR ]]; then
    # One that an older `up` made has none for the endpoints.
    [[ -f $TLS_DIR/endpoints.crt ]] || (umask 077 && cd "$TLS_DIR" &&
      make_certificate endpoints && chmod 644 endpoints.crt)
    return
  fi
  rm -rf "$new"
  (
    umask 077
    mkdir -p "$new"
    cd "$new"
    make_authority ca
    make_certificate kafka
    make_certificate postgres
    make_certificate endpoints
    cat kafka.key kafka.crt >kafka.pem # the form that Kafka reads
    chmod 644 -- *.crt
  )
  mv "$new" "$TLS_DIR"
}

# What each service is told by file, as passwords in the environment are easily shown.
write_service_file() {
  (
    umask 077
    printf 'kafka-sasl-username = %s\nkafka-sasl-password = %s\n' "$1" "$(password "kafka-$1")" \
      >"$KEYS_DIR/$1.conf"
  )
}

write_kafka_client_file() {
  (
    umask 077
    printf '%s\n' security.protocol=sasl_ssl "ssl.ca.location=$TLS_DIR/ca.crt" \
      sasl.mechanism=SCRAM-SHA-512 sasl.username=dispatch \
      "sasl.password=$(password kafka-dispatch)" >"$KAFKA_CLIENT_FILE"
  )
}

pg_pass_file() { printf '%s/postgres-%s.pgpass' "$KEYS_DIR" "$1"; }
write_pg_pass_file() {
  (umask 077 && printf '*:*:*:%s:%s\n' "$1" "$(password "postgres-$1")" >"$(pg_pass_file "$1")")
}

# Everything that Kafka, PostgreSQL and the services are to find.
make_secrets() {
  local name
  is_secure || return 0
  command -v openssl >/dev/null || die "openssl is missing: run $(nice_path "$LOCAL_DIR/install-deps")"
  make_certificates
  for name in "${SERVICES[@]}"; do
    write_service_file "$name"
  done
  write_kafka_client_file
  for name in dispatch "${PG_DATABASES[@]}"; do
    write_pg_pass_file "$name"
  done
}

# ---- Kafka

# Controllers know each other by certificates of our authority, clients by SCRAM.
secure_kafka_properties() {
  cat <<END
ssl.keystore.type=PEM
ssl.keystore.location=$TLS_DIR/kafka.pem
ssl.truststore.type=PEM
ssl.truststore.location=$TLS_DIR/ca.crt
listener.name.controller.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="broker" password="$(password kafka-broker)";
END
}

kafka_note() { ! is_secure || printf '   by %s' "$(nice_path "$KAFKA_CLIENT_FILE")"; }

# The words that make Kafka's users when its storage is formatted.
kafka_scram_words() {
  local user
  for user in "${KAFKA_USERS[@]}"; do
    printf -- '--add-scram\n"SCRAM-SHA-512=[name=%s,password=%s]"\n' "$user" \
      "$(password "kafka-$user")"
  done
}

# ---- PostgreSQL

secure_pg_settings() {
  cat <<END
ssl = on
ssl_cert_file = '$PG_REAL_DIR/tls/postgres.crt'
ssl_key_file = '$PG_REAL_DIR/tls/postgres.key'
ssl_min_protocol_version = 'TLSv1.2'
password_encryption = 'scram-sha-256'
END
}

# PostgreSQL's user cannot read our directory, and wants to own its key.
install_for_pg() {
  local owner=()
  ((EUID != 0)) || owner=(-o postgres -g postgres)
  install -m 600 "${owner[@]}" "$@"
}
install_pg_certificate() {
  "${PG_PREFIX[@]}" mkdir -p "$PG_REAL_DIR/tls"
  install_for_pg "$TLS_DIR"/postgres.{crt,key} "$PG_REAL_DIR/tls"
}

secure_pg_query() {
  printf 'sslmode=verify-full&sslrootcert=%s&passfile=%s' "$(url_encoded "$TLS_DIR/ca.crt")" \
    "$(url_encoded "$(pg_pass_file "$1")")"
}
