"""Dead letters: looked at with filters, purged, delivered again. DESIGN.md section 5."""

import time

import psycopg
import pytest
from lib.client import adds_up, event
from lib.receiver import Answer
from lib.wait import eventually

SUBSCRIPTIONS = "/v1/event/subscriptions"
FAST = {"maxAttempts": 2, "minBackoff": "50ms", "factor": 1, "maxBackoff": "50ms", "jitter": 0}


def letters(org, called, **filters) -> list[dict]:
    path = f"{SUBSCRIPTIONS}/{called}/dead-letters"
    return org.get(path, params=filters, expect=200).json()


def ids(found: list[dict]) -> list[str]:
    return sorted(letter["eventId"] for letter in found)


def purge(org, called, **filters) -> dict:
    path = f"{SUBSCRIPTIONS}/{called}/dead-letters"
    return org.delete(path, params=filters, expect=200).json()


@pytest.fixture
def refusing(org, topic, receiver, subscribe):
    """refusing({id: status}) -> endpoint that answers those so and others well, and has them.
    `good`: so many others are sent before and after each, which keep the circuit closed."""

    def make(statuses: dict, good: int = 0, **fields):
        endpoint = receiver.endpoint(lambda r: Answer(statuses.get(r.event_id, 200)))
        endpoint.heal = statuses.clear
        called = endpoint.subscription = subscribe(endpoint.url, **{"retry": FAST, **fields})
        bad = list(statuses)
        endpoint.sent = len(bad) * (1 + 2 * good)
        for i in bad:
            before, after = ([event("good", partitionkey=i) for _ in range(good)] for _ in range(2))
            org.publish_batch(topic, [*before, event(f"letter.{i[0]}", id=i, partitionkey=i), *after])
        s = org.settled(called, matched=endpoint.sent)
        assert s["deadLettered"] == len(bad)
        eventually(lambda: len(letters(org, called, limit=1000)) == len(bad), "all are listed")
        return endpoint

    return make


def test_they_are_found_by_what_they_are(org, refusing):
    hook = refusing({"a1": 400, "a2": 404, "b1": 404, "b2": 500})
    called = hook.subscription
    assert ids(letters(org, called, status=404)) == ["a2", "b1"]
    assert ids(letters(org, called, reason="attempts-exhausted")) == ["b2"]
    assert ids(letters(org, called, type="letter.a")) == ["a1", "a2"]
    assert ids(letters(org, called, type="letter.a", status=404)) == ["a2"]
    middle = letters(org, called)[1]["deadLetteredTime"]
    late = ids(letters(org, called, since=middle))
    early = ids(letters(org, called, until=middle))
    assert "b2" in late and sorted(late + early) == ["a1", "a2", "b1", "b2"]
    assert letters(org, called, since="2099-01-01T00:00:00Z") == []
    for wrong in ({"since": "today"}, {"status": "5xx"}, {"cursor": "x"}):
        path = f"{SUBSCRIPTIONS}/{called}/dead-letters"
        assert next(iter(wrong)) in org.get(path, params=wrong, expect=400).json()["message"]


def test_pages_keep_their_filter(org, refusing):
    hook = refusing({f"a{i}": 400 if i % 2 else 404 for i in range(10)})
    path, seen = f"{SUBSCRIPTIONS}/{hook.subscription}/dead-letters?status=404&limit=2", []
    while path:
        answer = org.get(path, expect=200)
        seen += ids(answer.json())
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert sorted(seen) == [f"a{i}" for i in range(0, 10, 2)]


def test_purge_removes_those_that_fit(org, topic, refusing):
    hook = refusing({"a1": 400, "a2": 404, "b1": 404})
    called = hook.subscription
    position = next(x for x in letters(org, called) if x["eventId"] == "a2")
    org.delete(f"{SUBSCRIPTIONS}/{called}/dead-letters?stauts=404", expect=400)
    assert purge(org, called, status=404, type="letter.a") == {"purged": 1, "left": 0}
    assert ids(letters(org, called)) == ["a1", "b1"]
    one = letters(org, called)[0]["id"]
    assert purge(org, called, id=one) == {"purged": 1, "left": 0}
    assert len(letters(org, called)) == 1
    assert purge(org, called) == {"purged": 1, "left": 0}
    assert purge(org, called) == {"purged": 0, "left": 0}
    s = org.statistics(called)
    assert s["deadLettered"] == 3 and adds_up(s), "they were dead letters all the same"
    (found,) = [d for d in org.deliveries_of(position) if d["subscription"] == called]
    assert found["status"] == "DEAD_LETTERED" and "purged" in found["message"]


def test_a_repeated_purge_removes_nothing_more(org, refusing):
    hook = refusing({"a1": 400, "b1": 400})
    path = f"{SUBSCRIPTIONS}/{hook.subscription}/dead-letters?type=letter.a"
    for _ in range(2):
        done = org.delete(path, headers={"Idempotency-Key": hook.subscription}, expect=200)
        assert done.json() == {"purged": 1, "left": 0}


# ---- redrive


def redrive(org, called, expect=202, **body) -> dict:
    path = f"{SUBSCRIPTIONS}/{called}/dead-letters/redrive"
    return org.post(path, body, expect=expect).json()


def job_of(org, called, job) -> dict:
    path = f"{SUBSCRIPTIONS}/{called}/dead-letters/redrive/{job['id']}"
    return org.get(path, expect=200).json()


def ended(org, called, job, bound: float | None = None) -> dict:
    return eventually(
        lambda: (now := job_of(org, called, job))["state"] != "RUNNING" and now,
        "the redrive ends",
        bound,
    )


def told(org, called, **figures) -> dict:
    """Waits for those statistics: what is settled at once may be told of before the redrive."""

    def probe():
        s = org.statistics(called)
        assert {name: s[name] for name in figures} == figures and adds_up(s), s
        return s

    return eventually(probe, f"statistics tell {figures}", 60)


def test_redrive_delivers_again(org, topic, refusing):
    hook = refusing({"a1": 400, "a2": 404})
    called = hook.subscription
    position = next(x for x in letters(org, called) if x["eventId"] == "a1")
    hook.heal()
    job = redrive(org, called)
    assert (job["state"], job["total"], job["filter"]) == ("RUNNING", 2, {})
    job = ended(org, called, job)
    assert (job["state"], job["moved"]) == ("DONE", 2)
    told(org, called, delivered=2, deadLettered=0)
    assert letters(org, called) == []
    requests = [r for r in hook.requests if r.event_id == "a1"]
    assert len(requests) == 2
    assert requests[0].delivery_id != requests[1].delivery_id, "not a repeat"
    assert requests[1]["dispatch-attempt"] == "1", "its tries begin anew"

    def delivered():
        (found,) = [d for d in org.deliveries_of(position) if d["subscription"] == called]
        return found["status"] == "DELIVERED" and len(found["attempts"]) == 2

    eventually(delivered, "both attempts are on record")
    path = f"{SUBSCRIPTIONS}/{called}/dead-letters/redrive"
    assert org.get(path, expect=200).json() == [job]


def test_redrive_takes_those_that_fit(org, refusing):
    hook = refusing({"a1": 400, "a2": 404, "b1": 404})
    called = hook.subscription
    hook.heal()
    job = redrive(org, called, filter={"type": "letter.a", "status": 404})
    assert ended(org, called, job)["moved"] == 1
    told(org, called, delivered=1, deadLettered=2)
    assert ids(letters(org, called)) == ["a1", "b1"]
    one = letters(org, called)[0]["id"]
    assert ended(org, called, redrive(org, called, filter={"id": one}))["moved"] == 1


def test_what_fails_again_is_a_dead_letter_again(org, refusing):
    hook = refusing({"a1": 400})
    called = hook.subscription
    for times in (2, 3):
        assert ended(org, called, redrive(org, called))["moved"] == 1
        eventually(lambda: len(hook) == times, "it is tried again")
        eventually(lambda: ids(letters(org, called)) == ["a1"], "it is listed")
        told(org, called, delivered=0, deadLettered=1)
    hook.heal()
    ended(org, called, redrive(org, called))
    told(org, called, delivered=1, deadLettered=0)


@pytest.mark.parametrize(
    "body, field",
    [
        ({"filter": {"resaon": "rejected"}}, "filter.resaon"),
        ({"filter": {"since": "today"}}, "filter.since"),
        ({"rate": {"events": 0}}, "rate.events"),
        ({"rate": {"per": "1s"}}, "rate.events"),
        ({"speed": 5}, "speed"),
    ],
)
def test_a_wrong_redrive_is_refused(org, hook, body, field):
    refused = redrive(org, hook.subscription, expect=422, **body)
    assert field in [detail["field"] for detail in refused["details"]]


def test_redrive_keeps_its_rate_and_can_be_cancelled(org, refusing):
    hook = refusing({f"a{i}": 400 for i in range(40)}, good=1)
    called = hook.subscription
    hook.heal()
    before, begun = len(hook), time.monotonic()
    job = redrive(org, called, rate={"events": 5, "per": "1s"})
    refused = redrive(org, called, expect=409)
    assert job["id"] in refused["message"]
    eventually(lambda: len(hook) >= before + 10, "it goes on")
    path = f"{SUBSCRIPTIONS}/{called}/dead-letters/redrive/{job['id']}"
    cancelled = org.delete(path, expect=200).json()
    took = time.monotonic() - begun
    assert cancelled["state"] == "CANCELLED" and 10 <= cancelled["moved"] < 40
    assert cancelled["moved"] <= 5 * took + 2, "five a second, but for what comes at once"
    assert org.delete(path, expect=200).json()["state"] == "CANCELLED", "and stays so"
    moved = cancelled["moved"]
    told(org, called, delivered=80 + moved, deadLettered=40 - moved)
    left = letters(org, called)
    assert len(left) == 40 - moved and not any("redrive" in letter for letter in left)
    assert ended(org, called, redrive(org, called))["moved"] == 40 - moved
    told(org, called, delivered=120, deadLettered=0)


def test_redrive_of_a_key_keeps_one_at_a_time(org, topic, receiver, subscribe):
    """Those of a key come back in the order of the log, before what waits behind them."""
    bad = {f"a{i}" for i in range(1, 6)}
    hook = receiver.endpoint(
        lambda r: Answer(400, delay=0.01) if r.event_id in bad else Answer(delay=0.01)
    )
    called = subscribe(hook.url, ordering="key", retry=FAST)
    sent = [event(id=f"a{i}", partitionkey="a") for i in range(1, 8)]
    org.publish_batch(topic, sent)
    assert org.settled(called, matched=7)["deadLettered"] == 5
    eventually(lambda: len(letters(org, called)) == 5, "all are listed")
    bad.clear()
    before = len(hook)
    ended(org, called, redrive(org, called))
    told(org, called, delivered=7, deadLettered=0)
    again = hook.requests[before:]
    assert [r.event_id for r in again] == [f"a{i}" for i in range(1, 6)]
    gaps = [b.time - a.time for a, b in zip(again, again[1:])]
    assert min(gaps) >= 0.009, "one of a key at a time"


def test_letters_of_before_a_rewind_go_to_the_subscription_of_now(org, refusing):
    hook = refusing({"a1": 400})
    called = hook.subscription
    org.post(f"{SUBSCRIPTIONS}/{called}/rewind", {"to": "latest"}, expect=200)
    hook.heal()
    ended(org, called, redrive(org, called))
    told(org, called, delivered=1, cancelled=0)


def test_the_short_path_does_the_same(org, refusing):
    hook = refusing({"a1": 400, "a2": 400})
    base = f"/v1/subscriptions/{hook.subscription}/dead-letters"
    job = org.post(f"{base}/redrive", {"rate": {"events": 1, "per": "1m"}}, expect=202).json()
    assert org.get(f"{base}/redrive", expect=200).json()[0]["id"] == job["id"]
    assert org.get(f"{base}/redrive/{job['id']}", expect=200).json()["id"] == job["id"]
    assert org.delete(f"{base}/redrive/{job['id']}", expect=200).json()["state"] == "CANCELLED"
    org.settled(hook.subscription, matched=2)
    purged = eventually(lambda: org.delete(base, expect=200).json()["purged"], "they are removed")
    assert purged in (1, 2)
    org.get(f"{base}/redrive/{hook.subscription}", expect=404)
    org.get("/v1/subscriptions/nobody/dead-letters/redrive", expect=404)


@pytest.mark.disruptive
@pytest.mark.parametrize("ordering", ["none", "key"])
def test_redrive_survives_kills(healthy, org, refusing, ordering):
    """SIGKILL of function-manager in the middle: nothing is lost, nothing is doubled, and it ends."""
    count = 100
    hook = refusing({f"e{i}": 400 for i in range(count)}, good=1, ordering=ordering, maxInFlight=5)
    called = hook.subscription
    hook.heal()
    before = len(hook)
    job = redrive(org, called, rate={"events": 20, "per": "1s"})
    for part in (10, 50):
        eventually(lambda: len(hook) >= before + part, "it goes on", 60)
        healthy.kill("function-manager")
        healthy.restart("function-manager")
    assert ended(org, called, job, 90)["moved"] == count
    told(org, called, delivered=3 * count, deadLettered=0)
    assert letters(org, called) == []
    again = hook.requests[before:]
    assert sorted({r.event_id for r in again}) == sorted(f"e{i}" for i in range(count))
    assert len(again) <= count + 2 * (5 + 5), "repeats are what a kill caught under way"
    by_event = {}
    for r in again:
        by_event.setdefault(r.event_id, set()).add(r.delivery_id)
    assert all(len(found) == 1 for found in by_event.values()), "one delivery each"


@pytest.mark.disruptive
def test_what_was_purged_stays_away_when_the_index_is_built_anew(healthy, org, refusing):
    hook = refusing({"a1": 400, "a2": 404, "b1": 404})
    called = hook.subscription
    assert purge(org, called, status=404)["purged"] == 2
    healthy.kill("function-manager")
    with psycopg.connect(healthy.env["DISPATCH_PG_URL_FUNCTION_MANAGER"]) as database:
        database.execute("truncate dead_letters, dead_letter_positions")
    healthy.restart("function-manager")
    eventually(lambda: ids(letters(org, called)) == ["a1"], "the other one is back", 60)
    # All of the topic is read once this one is listed.
    late = refusing({"z1": 400})
    assert len(letters(org, late.subscription)) == 1
    assert ids(letters(org, called)) == ["a1"]
