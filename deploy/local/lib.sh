# shellcheck shell=bash
# Shared by the scripts of this directory and by tests/run: paths, messages, steps, stamps,
# processes. Sourced, never run.

export LC_ALL=C.UTF-8
LOCAL_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO_DIR=$(cd "$LOCAL_DIR/../.." && pwd)
DEPS_DIR=${DISPATCH_DEPS_DIR:-$REPO_DIR/.deps}
HOME_DIR=${DISPATCH_HOME:-$REPO_DIR/.dispatch}
RUN_DIR=$HOME_DIR/run
LOG_DIR=$HOME_DIR/logs
# shellcheck disable=SC2034 # used by those that source this
PRESET=${DISPATCH_PRESET:-release}
PROGRAM=${0##*/}
# shellcheck disable=SC2034
SERVICES=(identity event-manager function-manager api-gateway)
# Whether Kafka and PostgreSQL want TLS and passwords (lib-secure.sh).
SECURE=false
is_secure() { [[ $SECURE == true ]]; }

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "$PROGRAM" "$*" >&2; }
die() {
  warn "$*"
  exit 1
}
usage_error() {
  warn "$* (see $PROGRAM --help)"
  exit 2
}

# The leading comment of a script is its --help.
show_help() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

# A path as the user would type it here.
nice_path() {
  local path=$1
  case $path in
    "$PWD"/*) path=${path#"$PWD"/} ;;
  esac
  printf '%s' "$path"
}

now_us() { printf '%s' "${EPOCHREALTIME/./}"; }
seconds_since() {
  local us=$(($(now_us) - $1))
  printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# step TITLE FUNCTION [ARG...]: runs the function with its output in a log; one line on the terminal
# with the time it took. Must not be called in a condition (set -e would not work inside).
# STEP_REMEDY holds what to advise when it fails.
step() {
  local title=$1 start rc log
  shift
  log=$STEP_LOG_DIR/${1}.log
  mkdir -p "$STEP_LOG_DIR"
  start=$(now_us)
  printf '  %-34s ' "$title"
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  rc=$?
  set -e
  if ((rc == 0)); then
    printf '%7s s\n' "$(seconds_since "$start")"
    return
  fi
  printf 'FAILED after %s s\n' "$(seconds_since "$start")"
  tail -n "${STEP_TAIL:-20}" "$log" | sed 's/^/    | /' >&2
  warn "'$title' failed; the whole log: $(nice_path "$log")"
  [[ -z ${STEP_REMEDY:-} ]] || warn "$STEP_REMEDY"
  exit 1
}

hash_of() { sha256sum | cut -d' ' -f1; }
stamp_matches() { [[ -f $DEPS_DIR/.stamps/$1 && $(<"$DEPS_DIR/.stamps/$1") == "$2" ]]; }
write_stamp() {
  mkdir -p "$DEPS_DIR/.stamps"
  printf '%s\n' "$2" >"$DEPS_DIR/.stamps/$1"
}

# wait_until SECONDS COMMAND...: polls every 50 ms; fails when the time is over.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.05
  done
}

# ---- processes: run/NAME.pid holds "pid start-time", so that a reused pid is never taken for ours.

process_start_time() {
  local stat tasks=("/proc/$1/task/"*)
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  stat=${stat##*) }
  # shellcheck disable=SC2086
  set -- $stat
  # The first thread of a killed process is a zombie before the last one has let go of its ports.
  [[ $1 != [ZX] || ${#tasks[@]} -gt 1 ]] || return 1
  printf '%s' "${20}"
}

record_pid() { printf '%s %s\n' "$2" "$(process_start_time "$2")" >"$RUN_DIR/$1.pid"; }

# Prints the pid of a part that is alive; fails otherwise.
live_pid() {
  local pid started
  [[ -f $RUN_DIR/$1.pid ]] || return 1
  read -r pid started <"$RUN_DIR/$1.pid" || return 1
  [[ -n $started && $(process_start_time "$pid") == "$started" ]] || return 1
  printf '%s' "$pid"
}
is_alive() { live_pid "$1" >/dev/null; }
is_dead() { ! is_alive "$1"; }

# spawn NAME COMMAND...: a daemon in a session of its own (so that Ctrl-C in the terminal does not
# reach it), output appended to its log. File descriptor 9 is the lock of with_lock.
spawn() {
  local name=$1 pid
  shift
  setsid "$@" >>"$LOG_DIR/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  disown "$pid"
  record_pid "$name" "$pid" 2>/dev/null || true
  STARTED+=("$name")
}

# stop_part NAME SECONDS [SIGNAL]: asks, waits, then insists. Only ever signals a recorded pid that
# is still the process we started.
stop_part() {
  local name=$1 bound=$2 signal=${3:-TERM} pid
  if pid=$(live_pid "$name"); then
    kill -s "$signal" "$pid" 2>/dev/null || true
    if ! wait_until "$bound" is_dead "$name"; then
      warn "$name (pid $pid) did not stop within $bound s: killing it"
      kill -s KILL "$pid" 2>/dev/null || true
      wait_until 5 is_dead "$name" || warn "$name (pid $pid) cannot be killed"
    fi
  fi
  rm -f "$RUN_DIR/$name.pid"
}

# Ends the script with the last lines of a dead part's log.
die_with_log() {
  local name=$1 log=$LOG_DIR/$1.log
  shift
  warn "$name $*"
  [[ ! -s $log ]] || tail -n 15 "$log" | sed 's/^/    | /' >&2
  die "the whole log: $(nice_path "$log"). What else runs stays up: mend it and run" \
    "$(nice_path "$LOCAL_DIR/up") again, or stop everything with $(nice_path "$LOCAL_DIR/down")"
}

# One up, down, restart or kill at a time in one home.
take_lock() {
  mkdir -p "$RUN_DIR" "$LOG_DIR"
  exec 9>"$RUN_DIR/lock"
  flock -n 9 || {
    say "waiting for another $(nice_path "$LOCAL_DIR")/{up,down,restart} to finish"
    flock -w 300 9 || die "another one still holds $(nice_path "$RUN_DIR/lock")"
  }
}
