/* Bounds, planted bugs, the world, PostgreSQL, Kafka and function-manager. Part of handover.pml. */

#ifndef LOG
#define LOG 3 /* offsets */
#endif
#ifndef CHANGES
#define CHANGES 3 /* of subscription 1; the first creates it */
#endif
#ifndef REWINDS
#define REWINDS 1 /* of these, at most so many */
#endif
#ifndef FALLS
#define FALLS 1 /* times that it falls behind */
#endif
#ifndef CLAIMS
#define CLAIMS 1 /* of owners that follow the first */
#endif
#ifndef FAILS
#define FAILS 0 /* checkpoints whose answer is an error, durable or not */
#endif
#ifndef GRANT
#define GRANT 2 /* offsets ahead of a reader */
#endif
#define SESSIONS (CHANGES + FALLS)
#define WIRE 3
#define INF 7

#define BIT(o) (1 << (o))
#define BELOW(o) (BIT(o) - 1)
#define RANGE(a, b) (BELOW(b) & ~BELOW(a))
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))
/* The lowest offset that is not in a set: OffsetTracker::Position. */
#define LOWEST(s) \
  ((s) & 1 -> ((s) & 2 -> ((s) & 4 -> ((s) & 8 -> ((s) & 16 -> 5 : 4) : 3) : 2) : 1) : 0)
#define SAME_PARTITION(o) ((o) % 2 == 0 -> 21 : 42)

/* Something that must be durable before it is acted on. */
#define FRESH 0
#define SAVING 1
#define DURABLE 2

/* Planted bugs, each of which must be found; the environment's BUG says which, 0 or nothing: none. */
#define BUG_NO_MARK 1
#define BUG_NO_HOLD 2
#define BUG_NO_GRANT 3
#define BUG_NO_FENCE 4
#define BUG_NO_REACH 5
#define BUG_NO_SESSION_REACH 6
#define BUG_BEGIN_AT_NEXT 7
#define BUG_PAUSE_AT_NEXT 8
#define BUG_PAUSE_EARLY 9
#define BUG_FALL_AT_NEXT 10
#define BUG_LEAVE_AT_SEEN 11
#define BUG_NOT_RETIRED 12
#define BUG_UNKNOWN_READS 13
#define BUG_FOLLOWS_TOO_SOON 14
#define BUG_FOLLOWS_SESSION_TOO_SOON 15
#define BUG_HAND_OVER_UNWRITTEN 16
#define BUG_HAND_OVER_AT_NEXT 17
#define BUG_POSITION_AHEAD 18
#define BUG_COMPLETED_LOST 19
#define BUG_CURSORS_LOST 20
#define BUG_ZOMBIE_READS 21
#define BUG_ZOMBIE_SESSION_READS 22
#define BUG_PAUSE_UNSEEN 23
#define BUG_MEETS_BELOW_REACH 24
byte bug = 0;

/* ---- the world */
byte end = 0; /* of the log */
byte version = 0;
byte generation = 0;
byte claims = 0;
byte falls = 0;
byte fails = 0;
typedef Version { bool paused; byte generation; byte boundary; byte pause_boundary };
Version versions[CHANGES + 1];
byte boundary[2]; /* of each generation */

/* ---- a session, in memory and saved. One subscription is ever in one, so one range. */
typedef Session {
  bool used; byte generation; byte from; byte until;
  byte done;  /* the offsets that are complete, among them all below its beginning */
  byte position; /* the first that is not */
  byte seen; byte granted; byte granting; byte reach;
  byte made; byte handed; byte leaving;
  bool started; bool holding
};

/* ---- an owner: its memory, or what of it is durable */
typedef Owner {
  bool alive; byte known; byte next; byte done; byte position; byte reach; byte granted; byte granting;
  bool cursor; byte generation; byte from; byte until; byte paused_at; byte version;
  byte retired_from; byte retired_until; /* of generation 0 */
  byte changed; bool change_hold; bool unknown;
  byte saving; /* 1: its answer will be good, 2: an error */
  byte sessions; /* made ever: the name of the next one's stream */
  byte matched;  /* of subscription 1 */
  byte may_hold; /* what a reader that is no member of the group any more has in memory ends here */
  Session s[SESSIONS]
};
Owner own[2];
Owner db; /* the row of checkpoints, and cursors */
byte cur = 0; /* the owner; the other one, if it is alive, is not aware that it is none */
bool saved_once = false;

/* ---- Kafka: produced and not yet appended, by owner and invocations partition */
chan wire[4] = [WIRE] of { byte, byte, byte }; /* stream (0: live), offset, targets */
/* ---- function-manager */
typedef Mark { byte offset; byte targets }; /* offset + 1; 0: none */
Mark mark[2 * (SESSIONS + 1)];
byte got0 = 0;
byte got[2]; /* by generation */
byte taken_in = 0;

byte at, targets, stream, o, p, i;
bool ok, joined;

/* ================================================================ function-manager */

#define SUB0 1
#define OLD 2 /* subscription 1, first generation */
#define NEW 4
#define TARGET(generation_) ((generation_) == 0 -> OLD : NEW)

inline Deliver(d_generation) {
  /* Nothing passes a boundary; nothing is matched twice; a key's events come in order. */
  assert(o >= boundary[d_generation]);
  assert(!(got[d_generation] & BIT(o)));
  assert(!(got[d_generation] & ~BELOW(o) & SAME_PARTITION(o)));
  got[d_generation] = got[d_generation] | BIT(o);
  taken_in++
}

/* Intake::Accept: repeats are told per subscription at the mark, and by the mark below it. */
inline Receive() {
  p = 2 * stream + o % 2;
  if
  :: o + 1 > mark[p].offset -> mark[p].offset = o + 1; mark[p].targets = 0
  :: else
  fi;
  if
  :: bug == BUG_NO_MARK
  :: bug != BUG_NO_MARK && o + 1 < mark[p].offset -> targets = 0
  :: else ->
    if
    :: mark[p].targets & SUB0 -> targets = targets & ~SUB0
    :: else
    fi;
    if
    :: mark[p].targets & (OLD | NEW) -> targets = targets & ~(OLD | NEW)
    :: else
    fi
  fi;
  mark[p].targets = mark[p].targets | targets;
  if
  :: targets & SUB0 ->
    assert(!(got0 & BIT(o)) && !(got0 & ~BELOW(o) & SAME_PARTITION(o)));
    got0 = got0 | BIT(o)
  :: else
  fi;
  if
  :: targets & OLD -> Deliver(0)
  :: else
  fi;
  if
  :: targets & NEW -> Deliver(1)
  :: else
  fi;
  p = 0
}

