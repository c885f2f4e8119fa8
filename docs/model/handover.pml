/* One event partition of event-manager: the shared read, readers that catch up, cursors, grants and
 * checkpoints of owners that follow each other, against the marks by which function-manager tells
 * repeats. README.md says what is checked, within which bounds, and where the code differs.
 *
 * Subscription 0 is live from the start. Subscription 1 is created at the log's beginning or end,
 * paused, resumed and rewound, and may fall behind. Two invocations partitions, for even and for odd
 * offsets. One process takes any step that is enabled; a step is what the code does without giving
 * up its thread. Names follow the code: partition_matcher.cc, lag_session.cc, intake.cc. */

#include "state.pml"
#include "owner.pml"

/* ================================================================ steps */

inline NewVersion(n_paused, n_rewind, n_boundary) {
  version++;
  generation = generation + n_rewind;
  versions[version].paused = n_paused;
  versions[version].generation = generation;
  if
  :: n_boundary != INF -> boundary[generation] = n_boundary
  :: else
  fi;
  versions[version].boundary = boundary[generation];
  /* What is rewound while it is paused gets nothing before it is resumed. */
  versions[version].pause_boundary =
    (n_paused -> (n_rewind > 0 -> boundary[generation] : end) : 0)
}
#define PAUSED versions[version].paused
/* What the step does that is under way, of which owner, session and wire; all 0 between steps. */
byte act, me, sn, w, how;
#define TAKE_LIVE 1
#define TAKE_LAGGING 2
#define HAND_OVER 3
#define APPEND 4
#define FORGET 5
#define SAVE 6
#define SAVED 7
#define FOLLOW 8
#define TOLD 9
#define FALL 10
#define FALL_IN_SESSION 11

inline Act() {
  printf("step %d owner %d session %d wire %d how %d (end %d version %d known %d)\n", act, me, sn, w,
         how, end, version, own[cur].known);
  if
  :: act == 0
  :: act == TAKE_LIVE -> TakeLive(me)
  :: act == TAKE_LAGGING -> TakeLagging(me, sn, how)
  :: act == HAND_OVER -> HandOverIfMet(me, sn, 0)
  :: act == APPEND -> Append(me)
  :: act == FORGET -> Forget(me)
  :: act == SAVE ->
    Snapshot(me);
    if
    :: how != 3 -> Write(me)
    :: else
    fi;
    own[me].saving = MIN(how, 2);
#ifdef INSTANT
    Saved(me)
#endif
  :: act == SAVED -> Saved(me)
  :: act == FALL ->
    own[me].until = MAX(own[me].from, own[me].next);
    own[me].until = (bug == BUG_FALL_AT_NEXT -> own[me].until : MAX(own[me].until, own[me].reach));
    Change(me)
  :: act == FALL_IN_SESSION -> Leave(me, sn, 0)
  :: act == FOLLOW -> Claim(me)
  :: act == TOLD
  fi;
  if
  :: act == FALL -> AddToSession(me, own[me].until)
  :: act == FALL_IN_SESSION -> AddToSession(me, at); at = 0
  :: act == FOLLOW || act == TOLD ->
    if
    :: own[me].known > 0 -> Reconcile(me)
    :: else
    fi
  :: else
  fi;
  printf("  next %d position %d reach %d granted %d cursor [%d, %d) paused %d hold %d; got %d %d %d\n",
         own[cur].next, own[cur].position, own[cur].reach, own[cur].granted, own[cur].from,
         own[cur].until, own[cur].paused_at, own[cur].change_hold, got0, got[0], got[1]);
  i = 0;
  do
  :: i < SESSIONS ->
    if
    :: own[cur].s[i].used ->
      printf("  session %d [%d, %d) seen %d position %d reach %d granted %d made %d handed %d leaving %d holding %d\n",
             i, own[cur].s[i].from, own[cur].s[i].until, own[cur].s[i].seen,
             own[cur].s[i].position, own[cur].s[i].reach, own[cur].s[i].granted,
             own[cur].s[i].made, own[cur].s[i].handed, own[cur].s[i].leaving, own[cur].s[i].holding)
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0;
  act = 0; me = 0; sn = 0; w = 0; how = 0
}

#define ZOMBIE (1 - cur)
#define SESSION_STEPS(n) \
  :: CAN_START(cur, n) -> own[cur].s[n].started = true \
  :: CAN_TAKE(cur, n) && !CAN_HAND_OVER(cur, n) -> \
    act = TAKE_LAGGING; me = cur; sn = n; how = 1 \
  :: CAN_TAKE(cur, n) && own[cur].s[n].seen < MEET(cur, n) && !own[cur].s[n].holding -> \
    act = TAKE_LAGGING; me = cur; sn = n \
  :: CAN_TAKE(ZOMBIE, n) -> act = TAKE_LAGGING; me = ZOMBIE; sn = n \
  :: CAN_HAND_OVER(cur, n) -> act = HAND_OVER; me = cur; sn = n \
  :: falls < FALLS && OPEN(cur, n) && own[cur].s[n].made == DURABLE && \
     own[cur].s[n].leaving == DURABLE -> \
    falls++; act = FALL_IN_SESSION; me = cur; sn = n /* BalanceSession */

#define SESSION_IS_DONE(n) (!own[ZOMBIE].s[n].started || \
  own[ZOMBIE].s[n].seen >= MIN(own[ZOMBIE].may_hold, own[ZOMBIE].s[n].granted))
#define ZOMBIE_IS_DONE (bug == 0 && empty(wire[2 * ZOMBIE]) && empty(wire[2 * ZOMBIE + 1]) && \
  (own[ZOMBIE].next >= MIN(own[ZOMBIE].may_hold, own[ZOMBIE].granted) || \
   own[ZOMBIE].change_hold || own[ZOMBIE].unknown) && \
  SESSION_IS_DONE(0) && SESSION_IS_DONE(1 % SESSIONS) && SESSION_IS_DONE(2 % SESSIONS) && \
  SESSION_IS_DONE(3 % SESSIONS))
#define CAN_CREATE (version == 0 && CHANGES > 0)
#define CAN_CHANGE (version > 0 && version < CHANGES)
#define CAN_FOLLOW (claims < CLAIMS)

init {
  atomic {
    c_code { if (getenv("BUG") != NULL) now.bug = atoi(getenv("BUG")); };
    db.from = INF; db.until = INF; db.paused_at = INF;
    act = FOLLOW;
    d_step { Act() }
  }
  do
  :: atomic {
    if
    /* ---- the world */
    :: end < LOG -> end++
    :: CAN_CREATE -> NewVersion(false, 0, end)
    :: CAN_CREATE && end > 0 -> NewVersion(false, 0, 0)
    :: CAN_CHANGE && !PAUSED -> NewVersion(true, 0, INF)
    :: CAN_CHANGE && PAUSED -> NewVersion(false, 0, INF)
    :: CAN_CHANGE && generation < REWINDS -> NewVersion(versions[version - 1].paused, 1, 0)
    :: CAN_CHANGE && generation < REWINDS && end > 0 ->
      NewVersion(versions[version - 1].paused, 1, end)
    /* ---- Kafka: what was produced is appended */
    :: nempty(wire[0]) -> act = APPEND
    :: nempty(wire[1]) -> act = APPEND; w = 1
    :: nempty(wire[2]) -> act = APPEND; me = 1; w = 2
    :: nempty(wire[3]) -> act = APPEND; me = 1; w = 3
    /* ---- the owner */
    :: CAN_TAKE_LIVE(cur) -> act = TAKE_LIVE; me = cur
    :: own[cur].known < version -> own[cur].known++; act = TOLD; me = cur
    :: own[cur].known + 1 < version -> own[cur].known = version; act = TOLD; me = cur
    :: falls < FALLS && own[cur].cursor && own[cur].paused_at == INF && own[cur].from != INF &&
       own[cur].until == INF ->
      falls++; act = FALL; me = cur
#ifdef INSTANT
    :: UNSAVED(cur) -> act = SAVE; me = cur; how = 1
#else
    :: own[cur].saving == 0 && UNSAVED(cur) -> act = SAVE; me = cur; how = 1
#endif
    :: own[cur].saving == 0 && UNSAVED(cur) && fails < FAILS ->
      fails++; act = SAVE; me = cur; how = 2
    :: own[cur].saving == 0 && UNSAVED(cur) && fails < FAILS ->
      fails++; act = SAVE; me = cur; how = 3
    :: own[cur].saving == 1 -> act = SAVED; me = cur
    :: own[cur].saving == 2 -> own[cur].saving = 0
    SESSION_STEPS(0)
#if CHANGES + FALLS > 1
    SESSION_STEPS(1)
#endif
#if CHANGES + FALLS > 2
    SESSION_STEPS(2)
#endif
#if CHANGES + FALLS > 3
    SESSION_STEPS(3)
#endif
    /* ---- owners follow each other. The one before was killed, and what it produced is lost; */
    :: CAN_FOLLOW -> claims++; act = FOLLOW; how = KILLED
    /* ... or that is appended yet, and it may not be aware that it is none any more; */
    :: CAN_FOLLOW -> claims++; act = FOLLOW
    /* ... and the new one may not have heard of any change. */
    :: CAN_FOLLOW && version > 0 -> claims++; act = FOLLOW; how = KILLED + IGNORANT
    :: CAN_FOLLOW && version > 0 -> claims++; act = FOLLOW; how = IGNORANT
    :: CAN_TAKE_LIVE(ZOMBIE) -> act = TAKE_LIVE; me = ZOMBIE
    :: own[ZOMBIE].alive && ZOMBIE_IS_DONE -> act = FORGET; me = ZOMBIE
    :: bug == BUG_NO_FENCE && own[ZOMBIE].alive && own[ZOMBIE].saving == 0 ->
      act = SAVE; me = ZOMBIE; how = 2
    /* ---- nothing is left to do: everybody has got everything, and the counts agree */
    :: timeout ->
      assert(end == LOG && own[cur].known == version && own[cur].next == LOG);
      assert(got0 == BELOW(LOG));
      assert(version == 0 ||
             !(RANGE(boundary[generation], (PAUSED -> versions[version].pause_boundary : LOG)) &
               ~got[generation]));
      assert(db.matched == taken_in);
      break
    fi;
    d_step { Act() }
  }
  od
}
