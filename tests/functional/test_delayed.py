"""Events that are to be delivered later: `deliverat` and `delay`."""

import datetime
import json
import time

import pytest
from lib.client import adds_up, event
from lib.wait import BOUND, eventually

SUBSCRIPTIONS = "/v1/event/subscriptions"
STRUCTURED = {"Content-Type": "application/cloudevents+json"}


def ahead(seconds: float) -> str:
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def scheduled(org, called, count, delivered=0):
    def look():
        s = org.statistics(called)
        assert s["pending"]["scheduled"] == count and s["unread"] == 0, s
        assert s["delivered"] == delivered, s
        return s

    return eventually(look, f"{count} are scheduled")


def test_each_mode_is_delivered_at_its_time(org, topic, hook):
    path = f"/v1/topics/{topic}/events"
    begun = time.monotonic()
    org.publish(topic, id="binary", delay="15s")
    org.post(path, event(id="structured", deliverat=ahead(15)), headers=STRUCTURED, expect=202)
    org.publish_batch(topic, [event(id="now"), event(id="batch", delay="15s")])
    org.request("POST", f"{path}?type=t&id=wrapped&delay=15s", data=b"x", expect=202)
    org.request("POST", f"{path}?deliverAt={ahead(-60)}", headers=STRUCTURED,
                data=json.dumps(event(id="past")).encode(), expect=202)
    eventually(lambda: {"now", "past"} <= set(hook.event_ids), "what has no time comes at once")
    later = {"binary", "structured", "batch", "wrapped"}
    assert not later & set(hook.event_ids)
    s = scheduled(org, hook.subscription, 4, delivered=2)
    assert s["verdict"]["state"] == "OK" and "4 events scheduled" in s["verdict"]["text"], s
    assert s["oldestUndelivered"] is None and s["drainSeconds"] == 0 and adds_up(s), s
    eventually(lambda: later <= set(hook.event_ids), "their time comes", 15 + BOUND)
    waited = [r.time - begun for r in hook.requests if r.event_id in later]
    assert min(waited) >= 15.0 - 0.01, waited
    s = org.settled(hook.subscription, matched=6)
    assert s["delivered"] == 6 and adds_up(s), s
    (sent,) = [r for r in hook.requests if r.event_id == "binary"]
    assert "ce-deliverat" in sent.headers and "ce-delay" not in sent.headers


def test_faulty_times_are_refused_by_name(org, topic, hook):
    path = f"/v1/topics/{topic}/events"
    for attributes, field in (
        ({"deliverat": "tomorrow"}, "deliverat"),
        ({"deliverat": ahead(31 * 86_400)}, "deliverat"),
        ({"delay": "soon"}, "delay"),
        ({"delay": "31d"}, "delay"),
        ({"delay": "1s", "deliverat": ahead(1)}, "delay"),
    ):
        answer = org.post(path, event(**attributes), headers=STRUCTURED, expect=400).json()
        assert [d["field"] for d in answer["details"]] == [field], answer
    answer = org.request(
        "POST", path, headers={"Content-Type": "application/cloudevents-batch+json"},
        data=json.dumps([event(), event(delay="x")]).encode(), expect=400,
    ).json()
    assert [d["field"] for d in answer["details"]] == ["[1].delay"], answer


def test_trace_says_when(org, topic, hook):
    at = ahead(60)
    position = org.publish(topic, deliverat=at)

    def look():
        (found,) = [
            d for d in org.deliveries_of(position) if d["subscription"] == hook.subscription
        ]
        return found if found["status"] == "SCHEDULED" else None

    found = eventually(look, "it is scheduled")
    assert found["message"] == f"scheduled for {at}" and found["nextAttempt"] == at, found
    assert found["attempts"] == []


@pytest.fixture
def own(org, receiver, name):
    """An endpoint with a subscription to a topic of its own, which no other test writes to."""
    called = name("delayed")
    org.create_topic(called)
    endpoint = receiver.endpoint()
    endpoint.topic = endpoint.subscription = called
    org.subscribe(called, called, endpoint.url)
    yield endpoint
    org.delete(f"{SUBSCRIPTIONS}/{called}")


def test_a_rewind_schedules_again_and_cancels_what_was(org, own):
    org.publish(own.topic, delay="20d")
    scheduled(org, own.subscription, 1)
    org.post(f"{SUBSCRIPTIONS}/{own.subscription}/rewind", {"to": "earliest"}, expect=200)

    def look():
        s = org.statistics(own.subscription)
        assert s["cancelled"] == 1 and s["pending"]["scheduled"] == 1 and adds_up(s), s
        return s

    eventually(look, "one is scheduled, the other cancelled, and not in twenty days")
    assert len(own) == 0


def test_a_replay_after_its_time_delivers_at_once(org, own):
    org.publish(own.topic, id="replayed", delay="1s")
    eventually(lambda: own.event_ids == ["replayed"], "its time comes")
    replay = {"from": "earliest"}
    org.post(f"{SUBSCRIPTIONS}/{own.subscription}/replay", replay, expect=201)
    eventually(lambda: own.event_ids.count("replayed") == 2, "it is replayed")


def test_order_by_key_leaves_it_out(org, topic, receiver, subscribe):
    endpoint = receiver.endpoint()
    called = subscribe(endpoint.url, ordering="key")
    org.publish(topic, id="later", partitionkey="k", delay="5s")
    org.publish(topic, id="first", partitionkey="k")
    org.publish(topic, id="second", partitionkey="k")
    org.settled(called, matched=3)
    assert endpoint.event_ids == ["first", "second", "later"]


@pytest.mark.disruptive
def test_survives_kills_in_the_middle(healthy, org, topic, hook):
    """Of both managers; nothing comes early, nothing twice."""
    begun = time.monotonic()
    ids = [org.publish(topic, delay="7s")["id"] for _ in range(20)]
    scheduled(org, hook.subscription, 20)
    for service in ("function-manager", "event-manager"):
        healthy.kill(service)
        healthy.restart(service)
    s = org.settled(hook.subscription, matched=20, bound=40)
    assert s["delivered"] == 20 and adds_up(s), s
    assert sorted(hook.event_ids) == sorted(ids)
    assert min(r.time for r in hook.requests) - begun >= 6.9
