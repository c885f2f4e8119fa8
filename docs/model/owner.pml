/* An owner of the partition: what event-manager does in one step. Part of handover.pml. */

#define LIVE_NEXT(m) MAX(own[m].next, own[m].reach)
#define MAY_HAND_OVER(m, n) (WRITTEN(m, n) || bug == BUG_HAND_OVER_UNWRITTEN)
#define MEET(m, n) MAX((bug == BUG_HAND_OVER_AT_NEXT -> own[m].next : LIVE_NEXT(m)), \
  (bug == BUG_MEETS_BELOW_REACH -> 0 : own[m].s[n].reach))
#define POSITION(m) own[m].position
#define OPEN(m, n) (own[m].s[n].used && own[m].s[n].until == INF)
#define WRITTEN(m, n) (own[m].s[n].position >= own[m].s[n].seen)
#define READ_ALL(m, n) (own[m].s[n].until != INF && \
  (own[m].s[n].until <= own[m].s[n].from || own[m].s[n].until <= own[m].s[n].seen))
#define FINISHED(m, n) (READ_ALL(m, n) && WRITTEN(m, n) && own[m].s[n].handed == DURABLE && \
  own[m].s[n].leaving == DURABLE)
/* LagSession::Wrote */
#define OWES(m, n) (own[m].s[n].used && (own[m].s[n].until == INF || \
  (own[m].s[n].until > own[m].s[n].from && \
   (own[m].s[n].until > own[m].s[n].seen || own[m].s[n].until > own[m].s[n].position))))

inline Change(m) {
  own[m].changed = FRESH;
  own[m].change_hold = bug != BUG_NO_HOLD
}

inline AddToSession(m, a_start) {
  joined = false;
  i = 0;
  do
  :: i < own[m].sessions && !joined ->
    if
    :: own[m].s[i].used && own[m].s[i].made == FRESH ->
      /* It has not read anything, and its earlier range ends where this one begins, or is empty. */
      if
      :: own[m].s[i].generation != own[m].generation || own[m].s[i].until <= own[m].s[i].from ->
        own[m].s[i].from = a_start
      :: else -> assert(own[m].s[i].until == a_start)
      fi;
      own[m].s[i].generation = own[m].generation;
      own[m].s[i].until = INF;
      own[m].s[i].seen = own[m].s[i].from;
      own[m].s[i].granted = own[m].s[i].from;
      own[m].s[i].granting = own[m].s[i].from;
      own[m].s[i].done = BELOW(own[m].s[i].from);
      own[m].s[i].position = own[m].s[i].from;
      joined = true
    :: else
    fi;
    i++
  :: else -> break
  od;
  if
  :: joined
  :: else ->
    i = own[m].sessions;
    assert(i < SESSIONS);
    own[m].s[i].used = true;
    own[m].s[i].generation = own[m].generation;
    own[m].s[i].from = a_start;
    own[m].s[i].until = INF;
    own[m].s[i].done = BELOW(a_start);
    own[m].s[i].position = a_start;
    own[m].s[i].seen = a_start;
    own[m].s[i].granted = a_start;
    own[m].s[i].granting = a_start;
    own[m].s[i].reach = 0;
    own[m].s[i].made = FRESH;
    own[m].s[i].handed = DURABLE;
    own[m].s[i].leaving = DURABLE;
    own[m].s[i].started = false;
    own[m].s[i].holding = false;
    own[m].sessions++
  fi;
  i = 0;
  joined = false
}

/* PartitionMatcher::InSession; answers in ok. */
inline InSession(m, i_generation, i_before) {
  ok = false;
  i = 0;
  do
  :: i < i_before && i < own[m].sessions ->
    ok = ok || (OWES(m, i) && own[m].s[i].generation == i_generation);
    i++
  :: else -> break
  od;
  i = 0
}

inline Begin(m, b_start) {
  if
  :: b_start >= (bug == BUG_BEGIN_AT_NEXT -> own[m].next : LIVE_NEXT(m)) ->
    own[m].from = b_start;
    own[m].until = INF
  :: else -> AddToSession(m, b_start)
  fi;
  Change(m)
}

/* LagSession::Leave; the offset in at, which stays INF when nobody leaves. */
inline Leave(m, n, l_no_sooner) {
  at = MAX(MAX(own[m].s[n].from, own[m].s[n].seen), l_no_sooner);
  at = (bug == BUG_LEAVE_AT_SEEN -> at : MAX(at, own[m].s[n].reach));
  own[m].s[n].until = at;
  own[m].s[n].leaving = FRESH
}

inline PauseCursor(m, p_no_sooner) {
  at = INF;
  p = 0;
  do
  :: p < own[m].sessions ->
    if
    :: OPEN(m, p) -> Leave(m, p, p_no_sooner)
    :: else
    fi;
    p++
  :: else -> break
  od;
  p = 0;
  if
  :: at != INF -> own[m].paused_at = at
  :: else ->
    assert(own[m].from != INF);
    own[m].paused_at = MAX(own[m].from, own[m].next);
    own[m].paused_at = (bug == BUG_PAUSE_AT_NEXT -> own[m].paused_at :
                                                    MAX(own[m].paused_at, own[m].reach));
    own[m].paused_at = (bug == BUG_PAUSE_EARLY -> own[m].paused_at :
                                                  MAX(own[m].paused_at, p_no_sooner));
    own[m].until = own[m].paused_at
  fi;
  at = 0;
  Change(m)
}

inline ResumeCursor(m) {
  at = own[m].paused_at;
  own[m].paused_at = INF;
  InSession(m, own[m].generation, SESSIONS);
  if
  :: at >= LIVE_NEXT(m) && own[m].until == at -> own[m].until = INF; Change(m)
  :: else ->
    if
    :: at >= LIVE_NEXT(m) && POSITION(m) >= own[m].until && !ok -> Begin(m, at)
    :: else -> AddToSession(m, at); Change(m)
    fi
  fi;
  at = 0;
  ok = false
}

/* PartitionMatcher::Retire, LagSession::Cut */
inline Retire(m) {
  p = 0;
  do
  :: p < own[m].sessions ->
    at = MAX(MAX(own[m].s[p].from, own[m].s[p].seen), own[m].s[p].reach);
    if
    :: own[m].s[p].used && own[m].s[p].until > at ->
      own[m].s[p].until = at;
      own[m].s[p].leaving = FRESH
    :: else
    fi;
    p++
  :: else -> break
  od;
  p = 0;
  at = MIN(own[m].until, LIVE_NEXT(m));
  if
  :: own[m].from != INF && own[m].from < at && POSITION(m) < at && bug != BUG_NOT_RETIRED ->
    own[m].retired_from = own[m].from;
    own[m].retired_until = at
  :: else
  fi;
  at = 0
}

#define IS versions[own[m].known]
inline Reconcile(m) {
  if
  :: own[m].cursor && own[m].known < own[m].version
  :: else ->
    own[m].unknown = false;
    if
    :: !own[m].cursor || own[m].generation < IS.generation ->
      if
      :: own[m].cursor -> Retire(m)
      :: else
      fi;
      own[m].cursor = true;
      own[m].generation = IS.generation;
      own[m].from = INF;
      own[m].until = INF;
      own[m].paused_at = INF;
      own[m].version = own[m].known;
      if
      :: IS.paused && (IS.pause_boundary <= IS.boundary || bug == BUG_PAUSE_UNSEEN) ->
        own[m].paused_at = IS.boundary;
        Change(m)
      :: else -> Begin(m, IS.boundary)
      fi
    :: else
    fi;
    /* It was resumed, and paused again, while nobody looked. */
    if
    :: own[m].paused_at != INF && own[m].version < own[m].known &&
       (!IS.paused || (IS.pause_boundary > own[m].paused_at && bug != BUG_PAUSE_UNSEEN)) ->
      own[m].version = own[m].known;
      ResumeCursor(m)
    :: else
    fi;
    if
    :: IS.paused && own[m].paused_at == INF ->
      own[m].version = own[m].known;
      PauseCursor(m, IS.pause_boundary)
    :: else
    fi
  fi
}

/* ---- the shared read */

#define SESSION_HOLDS(m, n) (own[m].s[n].used && own[m].s[n].holding)
#define UNKNOWN(m) (own[m].unknown && bug != BUG_UNKNOWN_READS)
#define GRANTED(r) ((r) || bug == BUG_NO_GRANT)
/* A member that the group has not confirmed goes on with what it has in memory only. */
#define MAY_READ(m, offset_) \
  (m == cur || (offset_) < own[m].may_hold || bug == BUG_ZOMBIE_READS)
#define CAN_TAKE_LIVE(m) \
  (own[m].alive && own[m].next < end && !own[m].change_hold && !UNKNOWN(m) && !held[m] && \
   GRANTED(own[m].next < own[m].granted) && MAY_READ(m, own[m].next) && \
   nfull(wire[2 * m + own[m].next % 2]))

inline TakeLive(m) {
  o = own[m].next;
  own[m].next++;
  if
  :: own[m].done & BIT(o)
  :: else ->
    targets = SUB0;
    if
    :: own[m].cursor && own[m].known > 0 && own[m].from <= o && o < own[m].until ->
      targets = SUB0 | TARGET(own[m].generation)
    :: else ->
      if
      :: own[m].cursor && own[m].known > 0 && own[m].retired_from <= o && o < own[m].retired_until ->
        targets = SUB0 | OLD
      :: else
      fi
    fi;
    wire[2 * m + o % 2]!0, o, targets
  fi;
  o = 0;
  targets = 0
}

/* ---- sessions */

bool held[2]; /* some session of the owner holds the shared reader: kept by Holds */
inline Holds(m) {
  held[m] = false;
  i = 0;
  do
  :: i < own[m].sessions -> held[m] = held[m] || SESSION_HOLDS(m, i); i++
  :: else -> break
  od;
  i = 0
}

inline HandOver(m, n) {
  at = MAX(MEET(m, n), MAX(own[m].s[n].from, own[m].s[n].seen));
  if
  :: own[m].s[n].generation != own[m].generation -> own[m].s[n].until = at; own[m].s[n].handed = FRESH
  :: else ->
    if
    :: own[m].from != INF && POSITION(m) < own[m].until ->
      /* Refused: the shared reader must get on first. */
      own[m].s[n].holding = own[m].s[n].holding && own[m].s[n].handed != DURABLE
    :: else ->
      own[m].from = at;
      own[m].until = INF;
      Change(m);
      own[m].s[n].until = at;
      own[m].s[n].handed = FRESH
    fi
  fi;
  at = 0
}


/* LagSession::HandOverIfMet. h_close: it is close enough to hold the shared reader. */
inline HandOverIfMet(m, n, h_close) {
  if
  :: !OPEN(m, n)
  :: else ->
    if
    :: own[m].s[n].leaving != DURABLE || UNKNOWN(m) ->
      own[m].s[n].holding = own[m].s[n].holding && own[m].s[n].handed != DURABLE
    :: else ->
      if
      :: own[m].s[n].seen < MEET(m, n) -> own[m].s[n].holding = own[m].s[n].holding || h_close
      :: else ->
        own[m].s[n].holding = true;
        if
        :: MAY_HAND_OVER(m, n) -> HandOver(m, n)
        :: else
        fi
      fi
    fi
  fi;
  Holds(m)
}

#define IS_MADE(m, n) (own[m].s[n].made == DURABLE)
/* PartitionMatcher::MayFollow, but for sessions before it. */
#define MAY_FOLLOW(m, n) \
  (own[m].from == INF || own[m].generation != own[m].s[n].generation || own[m].until == INF || \
   POSITION(m) >= own[m].until || bug == BUG_FOLLOWS_TOO_SOON)
#define EARLIER(m, k, n) \
  (k < n && OWES(m, k) && own[m].s[k].generation == own[m].s[n].generation)
#define ANY_EARLIER(m, n) \
  (bug != BUG_FOLLOWS_SESSION_TOO_SOON && (EARLIER(m, 0, n) || EARLIER(m, 1 % SESSIONS, n) || EARLIER(m, 2 % SESSIONS, n) || \
   EARLIER(m, 3 % SESSIONS, n)))
#define CAN_START(m, n) \
  (own[m].s[n].used && !own[m].s[n].started && IS_MADE(m, n) && \
   !FINISHED(m, n) && !UNKNOWN(m) && MAY_FOLLOW(m, n) && !ANY_EARLIER(m, n))
#define CAN_TAKE(m, n) \
  (own[m].alive && own[m].s[n].used && own[m].s[n].started && own[m].s[n].leaving == DURABLE && \
   own[m].s[n].seen < end && !READ_ALL(m, n) && !UNKNOWN(m) && \
   GRANTED(own[m].s[n].seen < own[m].s[n].granted) && SESSION_MAY_READ(m, n) && \
   nfull(wire[2 * m + own[m].s[n].seen % 2]))
#define SESSION_MAY_READ(m, n) \
  (MAY_READ(m, own[m].s[n].seen) || bug == BUG_ZOMBIE_SESSION_READS)
#define CAN_HAND_OVER(m, n) \
  (own[m].alive && own[m].s[n].started && OPEN(m, n) && own[m].s[n].leaving == DURABLE && \
   own[m].s[n].seen >= MEET(m, n) && MAY_HAND_OVER(m, n) && !UNKNOWN(m) && \
   (own[m].from == INF || own[m].generation != own[m].s[n].generation || \
    POSITION(m) >= own[m].until))

inline TakeLagging(m, n, t_close) {
  HandOverIfMet(m, n, t_close);
  o = own[m].s[n].seen;
  own[m].s[n].seen++;
  if
  :: own[m].s[n].done & BIT(o)
  :: else ->
    if
    :: own[m].s[n].from <= o && o < own[m].s[n].until ->
      wire[2 * m + o % 2]!n + 1, o, TARGET(own[m].s[n].generation)
    :: else ->
      own[m].s[n].done = own[m].s[n].done | BIT(o);
      own[m].s[n].position = LOWEST(own[m].s[n].done)
    fi
  fi;
  o = 0;
  HandOverIfMet(m, n, t_close)
}

/* ---- what was produced is appended, in order, and acknowledged to whoever is there */

inline Append(m) {
  wire[w]?stream, o, targets;
  if
  :: own[m].alive ->
    if
    :: stream == 0 ->
      own[m].done = own[m].done | BIT(o);
      own[m].position = LOWEST(own[m].done)
    :: else ->
      stream--;
      own[m].s[stream].done = own[m].s[stream].done | BIT(o);
      own[m].s[stream].position = LOWEST(own[m].s[stream].done);
      stream++
    fi;
    if
    :: targets & (OLD | NEW) -> own[m].matched++
    :: else
    fi
  :: else
  fi;
  Receive();
  stream = 0;
  o = 0;
  targets = 0
}

/* ---- checkpoints */

#define SESSION_UNSAVED(m, n) \
  (n < own[m].sessions && own[m].s[n].used && \
   (own[m].s[n].made != DURABLE || own[m].s[n].handed != DURABLE || \
    own[m].s[n].leaving != DURABLE || FINISHED(m, n) || own[m].s[n].done != db.s[n].done || \
    (own[m].s[n].seen >= own[m].s[n].granted && own[m].s[n].seen < end)))
#define UNSAVED(m) \
  (own[m].changed != DURABLE || own[m].done != db.done || own[m].matched != db.matched || \
   (own[m].next >= own[m].granted && own[m].next < end) || !saved_once || \
   SESSION_UNSAVED(m, 0) || SESSION_UNSAVED(m, 1 % SESSIONS) || \
   SESSION_UNSAVED(m, 2 % SESSIONS) || SESSION_UNSAVED(m, 3 % SESSIONS))

/* PartitionMatcher::Snapshot */
inline Snapshot(m) {
  own[m].granting = MAX(own[m].granting, MIN(LOG, own[m].next + GRANT));
  if
  :: own[m].retired_until <= POSITION(m) -> own[m].retired_from = 0; own[m].retired_until = 0
  :: else
  fi;
  if
  :: own[m].changed == FRESH -> own[m].changed = SAVING
  :: else
  fi;
  i = 0;
  do
  :: i < own[m].sessions ->
    if
    :: own[m].s[i].used && FINISHED(m, i) -> /* ReapSessions */
      own[m].s[i].used = false; own[m].s[i].generation = 0; own[m].s[i].from = 0;
      own[m].s[i].until = 0; own[m].s[i].done = 0; own[m].s[i].position = 0; own[m].s[i].seen = 0;
      own[m].s[i].granted = 0; own[m].s[i].granting = 0; own[m].s[i].reach = 0;
      own[m].s[i].made = 0; own[m].s[i].handed = 0; own[m].s[i].leaving = 0;
      own[m].s[i].started = false; own[m].s[i].holding = false
    :: else
    fi;
    if
    :: own[m].s[i].used ->
      own[m].s[i].granting = MAX(own[m].s[i].granting, MIN(LOG, own[m].s[i].seen + GRANT));
      if
      :: own[m].s[i].made == FRESH -> own[m].s[i].made = SAVING
      :: else
      fi;
      if
      :: own[m].s[i].handed == FRESH -> own[m].s[i].handed = SAVING
      :: else
      fi;
      if
      :: own[m].s[i].leaving == FRESH -> own[m].s[i].leaving = SAVING
      :: else
      fi
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0;
  Holds(m)
}

/* One transaction, conditional on the epoch. */
inline Write(m) {
  saved_once = true;
  db.done = (bug == BUG_POSITION_AHEAD -> own[m].done | BELOW(own[m].next) :
             (bug == BUG_COMPLETED_LOST -> BELOW(POSITION(m)) : own[m].done));
  db.granted = own[m].granting;
  db.matched = own[m].matched;
  db.sessions = own[m].sessions;
  db.retired_from = own[m].retired_from;
  db.retired_until = own[m].retired_until;
  if
  :: bug == BUG_CURSORS_LOST
  :: else ->
    db.cursor = own[m].cursor; db.generation = own[m].generation; db.from = own[m].from;
    db.until = own[m].until; db.paused_at = own[m].paused_at; db.version = own[m].version
  fi;
  /* A checkpoint passes nothing that is not durable in dispatch.invocations. */
  assert(!(db.done & ~got0));
  assert(!db.cursor || db.from == INF || !(db.done & RANGE(db.from, db.until) & ~got[db.generation]));
  i = 0;
  do
  :: i < own[m].sessions ->
    db.s[i].used = own[m].s[i].used; db.s[i].generation = own[m].s[i].generation;
    db.s[i].from = own[m].s[i].from; db.s[i].until = own[m].s[i].until;
    db.s[i].done = own[m].s[i].done; db.s[i].granted = own[m].s[i].granting;
    assert(!db.s[i].used ||
           !(db.s[i].done & RANGE(db.s[i].from, db.s[i].until) & ~got[db.s[i].generation]));
    i++
  :: else -> break
  od;
  i = 0
}

/* PartitionMatcher::Saved, LagSession::Saved */
inline Saved(m) {
  own[m].saving = 0;
  own[m].granted = MAX(own[m].granted, own[m].granting);
  if
  :: own[m].changed == SAVING -> own[m].changed = DURABLE; own[m].change_hold = false
  :: else
  fi;
  i = 0;
  do
  :: i < own[m].sessions ->
    if
    :: own[m].s[i].used ->
      own[m].s[i].granted = MAX(own[m].s[i].granted, own[m].s[i].granting);
      if
      :: own[m].s[i].made == SAVING -> own[m].s[i].made = DURABLE
      :: else
      fi;
      if
      :: own[m].s[i].handed == SAVING -> own[m].s[i].handed = DURABLE
      :: else
      fi;
      if
      :: own[m].s[i].leaving == SAVING -> own[m].s[i].leaving = DURABLE
      :: else
      fi;
      if
      :: own[m].s[i].holding && own[m].s[i].handed == DURABLE && !OPEN(m, i) ->
        own[m].s[i].holding = false
      :: else
      fi
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0;
  Holds(m)
}

/* ---- owners follow each other */

inline Forget(m) {
  own[m].alive = false; own[m].known = 0; own[m].next = 0; own[m].done = 0; own[m].position = 0; own[m].reach = 0;
  own[m].granted = 0; own[m].granting = 0; own[m].cursor = false; own[m].generation = 0;
  own[m].from = 0; own[m].until = 0; own[m].paused_at = 0; own[m].version = 0;
  own[m].retired_from = 0; own[m].retired_until = 0; own[m].changed = 0;
  own[m].change_hold = false; own[m].unknown = false; own[m].saving = 0; own[m].sessions = 0;
  own[m].matched = 0; own[m].may_hold = 0; held[m] = false;
  i = 0;
  do
  :: i < SESSIONS ->
    own[m].s[i].used = false; own[m].s[i].generation = 0; own[m].s[i].from = 0;
    own[m].s[i].until = 0; own[m].s[i].done = 0; own[m].s[i].position = 0; own[m].s[i].seen = 0; own[m].s[i].granted = 0;
    own[m].s[i].granting = 0; own[m].s[i].reach = 0; own[m].s[i].made = 0; own[m].s[i].handed = 0;
    own[m].s[i].leaving = 0; own[m].s[i].started = false; own[m].s[i].holding = false;
    i++
  :: else -> break
  od;
  i = 0
}

inline Drop(m) {
  do
  :: nempty(wire[2 * m]) -> wire[2 * m]?stream, o, targets
  :: empty(wire[2 * m]) -> break
  od;
  do
  :: nempty(wire[2 * m + 1]) -> wire[2 * m + 1]?stream, o, targets
  :: empty(wire[2 * m + 1]) -> break
  od;
  stream = 0; o = 0; targets = 0
}

/* PartitionMatcher::PartitionMatcher. The epoch is raised before the log's end is read. */
#define KILLED 1
#define IGNORANT 2
inline Claim(m) {
  if
  :: how & KILLED -> Forget(cur); Drop(cur)
  :: else -> /* what it does not need any more, so that states are the same */
    own[cur].may_hold = end;
    own[cur].saving = 0; own[cur].matched = 0; own[cur].version = 0; own[cur].paused_at = 0;
    own[cur].changed = 0; own[cur].granting = 0
  fi;
  cur = (claims > 0 -> 1 - cur : 0);
  m = cur;
  Forget(m);
  Drop(m);
  own[m].alive = true;
  own[m].known = (how & IGNORANT -> 0 : version);
  own[m].done = db.done;
  own[m].next = LOWEST(db.done);
  own[m].position = own[m].next;
  own[m].granted = (saved_once -> db.granted : own[m].next);
  own[m].granting = own[m].granted;
  own[m].reach = (saved_once && bug != BUG_NO_REACH -> MIN(end, db.granted) : 0);
  own[m].cursor = db.cursor; own[m].generation = db.generation; own[m].from = db.from;
  own[m].until = db.until; own[m].paused_at = db.paused_at; own[m].version = db.version;
  own[m].retired_from = db.retired_from; own[m].retired_until = db.retired_until;
  own[m].changed = DURABLE; own[m].sessions = db.sessions; own[m].matched = db.matched;
  i = 0;
  do
  :: i < own[m].sessions ->
    if
    :: db.s[i].used ->
      own[m].s[i].used = true; own[m].s[i].generation = db.s[i].generation;
      own[m].s[i].from = db.s[i].from; own[m].s[i].until = db.s[i].until;
      own[m].s[i].done = db.s[i].done; own[m].s[i].seen = LOWEST(db.s[i].done);
      own[m].s[i].position = own[m].s[i].seen;
      own[m].s[i].granted = db.s[i].granted; own[m].s[i].granting = db.s[i].granted;
      own[m].s[i].reach = (bug == BUG_NO_SESSION_REACH -> 0 : MIN(end, db.s[i].granted));
      own[m].s[i].made = DURABLE; own[m].s[i].handed = DURABLE; own[m].s[i].leaving = DURABLE
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0;
  own[m].unknown = own[m].cursor && own[m].known < own[m].version
}

