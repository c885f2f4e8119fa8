"""Order by key, rate limits and circuits: DESIGN.md section 5."""

import time

import pytest
from lib.client import adds_up, event
from lib.receiver import OK, Answer
from lib.stack import SERVICES
from lib.wait import eventually

SUBSCRIPTIONS = "/v1/event/subscriptions"
FAST = {"maxAttempts": 500, "minBackoff": "50ms", "factor": 1, "maxBackoff": "100ms", "jitter": 0}
SPILLED = {**FAST, "minBackoff": "6s", "maxBackoff": "6s"}  # longer than what waits in memory


def by_key(endpoint) -> dict:
    """key -> the ids of first deliveries, as they came."""
    found = {}
    for request in endpoint.requests:
        ids = found.setdefault(request.headers.get("ce-partitionkey"), [])
        if request.event_id not in ids:
            ids.append(request.event_id)
    return found


def keyed(org, topic, ids, key) -> None:
    org.publish_batch(topic, [event(id=i, partitionkey=key) for i in ids])


@pytest.fixture
def switch(receiver, subscribe):
    """switch(failing ids, **fields) -> endpoint that answers 500 to those until `.heal()`."""

    def make(failing, status=500, **fields):
        bad = set(failing)
        endpoint = receiver.endpoint(lambda r: Answer(status) if r.event_id in bad else OK)
        endpoint.heal = bad.clear
        endpoint.subscription = subscribe(
            endpoint.url, **{"ordering": "key", "retry": FAST, **fields}
        )
        return endpoint

    return make


def test_events_of_a_key_come_in_order(org, topic, receiver, subscribe):
    hook = receiver.endpoint(Answer(delay=0.005))
    called = subscribe(hook.url, ordering="key")
    ids = [f"{key}-{i}" for i in range(20) for key in "abcdef"]
    for start in range(0, len(ids), 30):
        org.publish_batch(
            topic, [event(id=i, partitionkey=i[0]) for i in ids[start : start + 30]]
        )
    org.settled(called, matched=len(ids))
    for key, came in by_key(hook).items():
        assert came == [i for i in ids if i[0] == key]
    requests = [r for r in hook.requests if r.headers["ce-partitionkey"] == "a"]
    gaps = [b.time - a.time for a, b in zip(requests, requests[1:])]
    assert min(gaps) >= 0.004, "one of a key at a time"


def test_a_failing_event_holds_its_key_and_no_other(org, topic, switch):
    hook = switch(["a1"])
    keyed(org, topic, ["a1", "a2", "a3"], "a")
    keyed(org, topic, ["b1", "b2"], "b")
    org.publish(topic, id="free")
    eventually(lambda: {"b2", "free"} <= set(hook.event_ids), "the others are delivered")
    eventually(lambda: hook.event_ids.count("a1") > 3, "it is tried again")
    assert "a2" not in hook.event_ids
    hook.heal()
    assert org.settled(hook.subscription, matched=6)["delivered"] == 6
    assert by_key(hook)["a"] == ["a1", "a2", "a3"]


def test_what_waits_behind_a_spilled_event_keeps_its_order(org, topic, switch):
    hook = switch(["a1"], retry=SPILLED)
    ids = [f"a{i}" for i in range(1, 200)]
    for start in range(0, len(ids), 50):
        keyed(org, topic, ids[start : start + 50], "a")
    eventually(
        lambda: org.statistics(hook.subscription)["pending"]["retrying"] == len(ids),
        "all of them are in the retry store",
        bound=20,
    )
    hook.heal()
    s = org.settled(hook.subscription, matched=len(ids), bound=30)
    assert s["delivered"] == len(ids) and adds_up(s)
    assert by_key(hook)["a"] == ids


def blocking(org, name) -> list:
    return org.get(f"/v1/subscriptions/{name}/blocking-keys", expect=200).json()


@pytest.mark.parametrize("retry", (FAST, SPILLED), ids=("in memory", "in the retry store"))
def test_a_key_that_blocks_others_is_told(org, topic, switch, retry):
    hook = switch(["a1", "c1"], status=503, retry={**retry, "maxAttempts": 500})
    began = time.time()
    places = org.publish_batch(topic, [event(id=f"a{i}", partitionkey="a") for i in range(1, 6)])
    keyed(org, topic, ["c1", "c2"], "c")
    keyed(org, topic, ["b1", "b2"], "b")
    keys = eventually(
        lambda: (found := blocking(org, hook.subscription))
        and [key["waiting"] for key in found] == [4, 1]
        and found,
        "both keys are told, the one with more behind it first",
    )
    assert [key["key"] for key in keys] == ["a", "c"]
    first = keys[0]
    where = places[0]
    assert (first["partition"], first["offset"]) == (where["partition"], where["offset"])
    assert first["attempts"] >= 1 and first["status"] == 503
    assert first["cause"].startswith("503 from http://127.0.0.1")
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began - 1))
    assert first["since"] >= since
    statistics = org.statistics(hook.subscription)
    assert statistics["blocked"] == {"keys": 2, "waiting": 5}
    verdict = statistics["verdict"]
    assert verdict["state"] == "STALLED", "nothing else is left"
    if retry is SPILLED:  # else so many attempts fail that the circuit opens, which is worse
        assert verdict["cause"] == "2 keys block 5 events"
        assert "503" in verdict["text"] and "7 events waiting" in verdict["text"]
    hook.heal()
    org.settled(hook.subscription, matched=9, bound=30)
    eventually(lambda: blocking(org, hook.subscription) == [], "nothing is in the way", bound=5)
    assert "blocked" not in org.statistics(hook.subscription)


def test_only_who_may_see_payloads_sees_keys(org, topic, switch, name):
    hook = switch([])
    reader = org.post("/v1/iam/keys", {"name": name("reader"), "scopes": ["read"]}, expect=201)
    seen = org.with_key(reader.json()["key"], org.org)
    seen.get(f"{SUBSCRIPTIONS}/{hook.subscription}/blocking-keys", expect=403)
    org.get(f"{SUBSCRIPTIONS}/{name('none')}/blocking-keys", expect=404)


@pytest.mark.disruptive
def test_a_key_that_blocks_others_is_told_after_a_crash(healthy, fresh_org, name, receiver):
    bad = ["a1"]
    hook = receiver.endpoint(lambda r: Answer(503) if r.event_id in bad else OK)
    topic, called = name("blocked"), name("sub")
    fresh_org.create_topic(topic, partitions=1)
    hour = {**SPILLED, "minBackoff": "1h", "maxBackoff": "1h"}
    fresh_org.subscribe(called, topic, hook.url, ordering="key", retry=hour)
    keyed(fresh_org, topic, ["a1", "a2", "a3"], "a")
    told = eventually(lambda: blocking(fresh_org, called), "the key is told")
    eventually(
        lambda: fresh_org.statistics(called)["pending"]["retrying"] == 3, "all is in the store"
    )
    healthy.kill("function-manager")
    healthy.restart("function-manager")
    healthy.await_ready()
    keyed(fresh_org, topic, ["a4"], "a")
    again = eventually(
        lambda: (found := blocking(fresh_org, called)) and found[0]["waiting"] == 3 and found,
        "who took over knows what is in the way",
        bound=30,
    )
    assert again == [{**told[0], "waiting": 3}]


def test_dead_letter_lets_the_key_go_on(org, topic, switch):
    hook = switch(["a1"], retry={**FAST, "maxAttempts": 3})
    keyed(org, topic, ["a1", "a2"], "a")
    s = org.settled(hook.subscription, matched=2)
    assert (s["delivered"], s["deadLettered"]) == (1, 1)


def test_park_sets_a_failing_event_aside(org, topic, switch):
    hook = switch(["a1"], onFailure="park", retry=SPILLED)
    keyed(org, topic, ["a1", "a2"], "a")
    s = org.settled(hook.subscription, matched=2)
    assert (s["delivered"], s["deadLettered"]) == (1, 1)
    (letter,) = eventually(
        lambda: org.get(f"{SUBSCRIPTIONS}/{hook.subscription}/dead-letters", expect=200).json(),
        "there is a dead letter",
    )
    assert (letter["eventId"], letter["reason"]) == ("a1", "parked")


def test_growing_a_topic_would_move_keys(org, name, receiver):
    topic = name("growing")
    org.create_topic(topic, partitions=2)
    org.subscribe(name("sub"), topic, receiver.endpoint().url, ordering="key")
    refused = org.put(f"/v1/topics/{topic}", {"name": topic, "partitions": 3}, expect=409)
    assert "allowReorder" in refused.json()["message"]
    org.put(f"/v1/topics/{topic}", {"name": topic, "partitions": 2}, expect=200)
    org.put(f"/v1/topics/{topic}?allowReorder=true", {"name": topic, "partitions": 3}, expect=200)


def test_rate_limit_is_kept(org, topic, receiver, subscribe):
    hook = receiver.endpoint()
    called = subscribe(hook.url, rateLimit={"events": 10, "per": "1s"})
    org.publish_batch(topic, [event() for _ in range(60)])
    org.settled(called, matched=60)
    times = sorted(request.time for request in hook.requests)
    for i, first in enumerate(times):
        within = sum(1 for t in times[i:] if t < first + 4)
        assert within <= 50, "never more than ten a second, but for what arrives late"


def test_circuit_opens_and_closes(org, topic, receiver, subscribe):
    down = [True]
    hook = receiver.endpoint(lambda r: Answer(503) if down[0] else OK)
    called = subscribe(hook.url, retry={**FAST, "maxAttempts": 60})
    org.publish_batch(topic, [event() for _ in range(60)])
    eventually(lambda: len(hook) >= 20, "enough failed")
    before = time.monotonic()
    eventually(lambda: time.monotonic() - hook.last_time > 0.5, "the endpoint is left alone")
    assert len(hook) < 400, f"{len(hook)} in {time.monotonic() - before} s"
    down[0] = False
    s = org.settled(called, matched=60, bound=60)
    assert s["delivered"] == 60 and adds_up(s), "no attempts were spent on what was held"


def test_circuit_holds_what_would_be_rejected(org, topic, receiver, subscribe):
    wrong = [True]
    hook = receiver.endpoint(lambda r: Answer(401) if wrong[0] else OK)
    called = subscribe(hook.url, maxInFlight=10)
    org.publish_batch(topic, [event() for _ in range(200)])
    eventually(lambda: org.statistics(called)["deadLettered"] >= 20, "some are dead letters")
    eventually(lambda: time.monotonic() - hook.last_time > 0.5, "the rest is held")
    wrong[0] = False
    s = org.settled(called, matched=200, bound=60)
    assert s["deadLettered"] < 50 and s["delivered"] > 150 and adds_up(s)


def test_hanging_subscriber_leaves_the_others_alone(org, topic, receiver, subscribe):
    hanging = receiver.endpoint(Answer(hang=True))
    stuck = subscribe(hanging.url, timeout="60s")
    quick = receiver.endpoint()
    called = subscribe(quick.url)
    for _ in range(20):
        org.publish_batch(topic, [event() for _ in range(50)])
    assert org.settled(called, matched=1000)["delivered"] == 1000
    eventually(lambda: sum(org.statistics(stuck)["pending"].values()) == 1000, "it is kept")
    assert len(hanging) <= 512


@pytest.mark.disruptive
@pytest.mark.parametrize("service", [s for s in SERVICES if s.endswith("manager")])
@pytest.mark.parametrize("retry", [FAST, SPILLED], ids=["in memory", "in the retry store"])
def test_order_survives_a_kill(healthy, org, topic, switch, service, retry):
    hook = switch(["a1"], retry=retry)
    ids = [f"a{i}" for i in range(1, 101)]
    keyed(org, topic, ids[:50], "a")
    eventually(lambda: hook.event_ids.count("a1") >= 1, "it was tried")
    eventually(lambda: org.statistics(hook.subscription)["matched"] == 50, "all matched")
    healthy.kill(service)
    keyed(org, topic, ids[50:], "a")
    healthy.restart(service)
    hook.heal()
    s = org.settled(hook.subscription, matched=100, bound=60)
    assert s["delivered"] == 100 and adds_up(s)
    assert by_key(hook)["a"] == ids
