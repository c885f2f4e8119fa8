"""Dead letters: looked at with filters, purged, delivered again. DESIGN.md section 5."""

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
    """refusing({id: status}) -> endpoint that answers those so and others well, and has them."""

    def make(statuses: dict, **fields):
        endpoint = receiver.endpoint(lambda r: Answer(statuses.get(r.event_id, 200)))
        endpoint.heal = statuses.clear
        called = endpoint.subscription = subscribe(endpoint.url, **{"retry": FAST, **fields})
        sent = [event(f"letter.{i[0]}", id=i) for i in statuses]
        org.publish_batch(topic, sent)
        s = org.settled(called, matched=len(sent))
        assert s["deadLettered"] == len(sent)
        eventually(lambda: len(letters(org, called)) == len(sent), "all are listed")
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
