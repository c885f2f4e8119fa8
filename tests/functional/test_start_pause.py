"""Where a subscription starts, and that pausing, resuming and deleting are exact."""

import time

import pytest
from conftest import settled_ids
from lib.client import adds_up, event, total_pending
from lib.receiver import Answer
from lib.wait import eventually

SUBSCRIPTIONS = "/v1/event/subscriptions"


def next_millisecond() -> int:
    def now():
        return time.time_ns() // 1_000_000

    start = now()
    return eventually(lambda: now() > start and now(), "the clock moves", step=0.001)


@pytest.fixture
def own_topic(org, name):
    called = name("topic")
    org.create_topic(called, partitions=2)
    return called


def test_start_latest_gets_only_what_comes_after(org, topic, receiver, subscribe):
    org.publish(topic, id="before")
    hook = receiver.endpoint()
    called = subscribe(hook.url, start="latest")
    org.publish(topic, id="after")
    org.settled(called, matched=1)
    assert hook.event_ids == ["after"]


def test_start_earliest_gets_everything(org, own_topic, receiver, name):
    before = [org.publish(own_topic)["id"] for _ in range(20)]
    hook = receiver.endpoint()
    called = name("earliest")
    org.subscribe(called, own_topic, hook.url, start="earliest")
    after = [org.publish(own_topic)["id"] for _ in range(5)]
    org.settled(called, matched=25)
    assert settled_ids(hook) == sorted(before + after)


def test_start_at_offsets(org, own_topic, receiver, name):
    placed = [org.publish(own_topic) for _ in range(30)]
    hook = receiver.endpoint()
    called = name("offsets")
    org.subscribe(called, own_topic, hook.url, start={"offsets": [3, 5]})
    wanted = sorted(p["id"] for p in placed if p["offset"] >= (3, 5)[p["partition"]])
    org.settled(called, matched=len(wanted))
    assert settled_ids(hook) == wanted


def test_start_at_a_time(org, own_topic, receiver, name):
    org.publish(own_topic)
    millis = next_millisecond()  # Kafka's clock has this grain
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000))
    stamp += f".{millis % 1000:03}Z"
    later = org.publish(own_topic)["id"]
    hook = receiver.endpoint()
    called = name("time")
    org.subscribe(called, own_topic, hook.url, start={"time": stamp})
    org.settled(called, matched=1)
    assert hook.event_ids == [later]


def test_pause_and_resume_lose_and_repeat_nothing(org, topic, receiver, subscribe):
    hook = receiver.endpoint()
    called = subscribe(hook.url)
    ids = []
    for number in range(120):
        if number == 40:
            assert org.post(f"{SUBSCRIPTIONS}/{called}/pause", expect=200).json()["paused"] is True
        if number == 80:
            assert (
                org.post(f"{SUBSCRIPTIONS}/{called}/resume", expect=200).json()["paused"] is False
            )
        ids.append(org.publish(topic)["id"])
    s = org.settled(called, matched=120)
    assert adds_up(s)
    assert settled_ids(hook) == sorted(ids)


def test_paused_subscription_gets_nothing(org, topic, receiver, subscribe):
    hook, other = receiver.endpoint(), receiver.endpoint()
    called, follower = subscribe(hook.url), subscribe(other.url)
    org.post(f"{SUBSCRIPTIONS}/{called}/pause", expect=200)
    org.publish(topic, id="while-paused")
    org.settled(follower, matched=1)
    eventually(lambda: org.statistics(called)["unread"] == 1, "it is unread")
    org.publish(topic, id="later")
    org.settled(follower, matched=2)  # what came after has passed by
    assert len(hook) == 0, "nothing is delivered"
    org.post(f"{SUBSCRIPTIONS}/{called}/resume", expect=200)
    org.settled(called, matched=2)
    assert settled_ids(hook) == ["later", "while-paused"]


def test_subscription_made_paused_keeps_its_boundary(org, topic, receiver, subscribe):
    hook = receiver.endpoint()
    called = subscribe(hook.url, paused=True)
    org.publish(topic, id="1")
    org.post(f"{SUBSCRIPTIONS}/{called}/resume", expect=200)
    org.publish(topic, id="2")
    org.settled(called, matched=2)
    assert settled_ids(hook) == ["1", "2"]


def test_pause_and_resume_twice_are_harmless(org, topic, receiver, subscribe):
    hook = receiver.endpoint()
    called = subscribe(hook.url)
    for verb in ("pause", "pause", "resume", "resume"):
        org.post(f"{SUBSCRIPTIONS}/{called}/{verb}", expect=200)
    org.publish(topic, id="1")
    org.settled(called, matched=1)
    assert hook.event_ids == ["1"]


def deleted_for(start: float) -> float:
    """Waits until the time is over that deliveries of a deleted subscription may go on."""
    return eventually(lambda: time.monotonic() > start + 2 and start + 2, "2 s are over")


def test_delete_stops_deliveries(org, topic, receiver, subscribe, name):
    hook = receiver.endpoint()
    called, follower = name("deleted"), subscribe(receiver.endpoint().url)
    org.subscribe(called, topic, hook.url)
    org.publish(topic)
    org.settled(called, matched=1)
    org.delete(f"{SUBSCRIPTIONS}/{called}", expect=200)
    deleted = time.monotonic()
    org.publish_batch(topic, [event() for _ in range(50)])
    end = deleted_for(deleted)
    org.publish(topic)
    org.settled(follower, matched=52)  # by now it would have got the last one too
    late = [request for request in hook.requests if request.time >= end]
    assert not late, "no delivery starts later than 2 s after the DELETE"


def test_delete_stops_retries(org, topic, receiver, subscribe, name):
    hook = receiver.endpoint(Answer(503))
    other = receiver.endpoint(Answer(503))
    called = name("deleted")
    # Seldom enough that no endpoint is given up for a while.
    retry = {"maxAttempts": 1000, "minBackoff": "200ms", "factor": 1, "jitter": 0}
    org.subscribe(called, topic, hook.url, retry=retry)
    subscribe(other.url, retry=retry)
    org.publish(topic)
    eventually(lambda: len(hook) >= 3, "it is retried")
    org.delete(f"{SUBSCRIPTIONS}/{called}", expect=200)
    end = deleted_for(time.monotonic())

    def late(endpoint):
        return [request for request in endpoint.requests if request.time >= end]

    eventually(lambda: len(late(other)) >= 3, "another's retries go on")
    assert not late(hook), "retries stop"


def test_recreated_subscription_starts_anew(org, topic, receiver, name):
    old, new = receiver.endpoint(), receiver.endpoint()
    called = name("again")
    org.subscribe(called, topic, old.url)
    org.publish(topic, id="1")
    org.settled(called, matched=1)
    org.delete(f"{SUBSCRIPTIONS}/{called}", expect=200)
    org.publish(topic, id="2")
    org.subscribe(called, topic, new.url)
    org.publish(topic, id="3")
    s = org.settled(called, matched=1)
    assert total_pending(s) == 0
    assert (old.event_ids, new.event_ids) == (["1"], ["3"])
    org.delete(f"{SUBSCRIPTIONS}/{called}", expect=200)


@pytest.mark.parametrize("path", [SUBSCRIPTIONS, "/v1/subscriptions"])
def test_rewind_delivers_again(org, own_topic, receiver, name, path):
    hook, called = receiver.endpoint(), name("rewound")
    org.subscribe(called, own_topic, hook.url)
    ids = [org.publish(own_topic)["id"] for _ in range(3)]
    org.settled(called, matched=3)
    org.post(f"{path}/{called}/rewind", {"to": "earliest"}, expect=200)
    eventually(lambda: sorted(hook.event_ids) == sorted(ids * 2), "all come once more")
    refused = org.post(f"{path}/{called}/rewind", {"to": "yesterday"}, expect=422).json()
    assert refused["details"][0]["field"] == "to"
    org.post(f"{path}/none/rewind", {"to": "earliest"}, expect=404)
    org.delete(f"{SUBSCRIPTIONS}/{called}")
