"""Which attempts are kept, and how they are listed."""

import pytest
from lib.client import event
from lib.receiver import Answer
from lib.wait import eventually

SUBSCRIPTIONS = "/v1/event/subscriptions"
FAST = {"maxAttempts": 4, "minBackoff": "50ms", "factor": 1, "maxBackoff": "100ms", "jitter": 0}


def listed(org, called, **query) -> list[dict]:
    """All pages."""
    found, path = [], f"{SUBSCRIPTIONS}/{called}/deliveries"
    while True:
        answer = org.get(path, params=query, expect=200)
        found += answer.json()
        if "next" not in answer.links:
            return found
        path, query = answer.links["next"]["url"], {}


@pytest.mark.parametrize(
    "history, outcomes",
    [
        ("all", ["delivered", "delivered", "retry"]),
        ("window", ["delivered", "delivered", "retry"]),
        ("failures", ["retry"]),
    ],
)
def test_history_says_which_are_kept(org, topic, receiver, subscribe, history, outcomes):
    endpoint = receiver.endpoint().script(Answer(503))
    called = subscribe(endpoint.url, retry=FAST, history=history)
    assert org.subscription(called)["history"] == history
    failed = org.publish(topic)
    eventually(lambda: len(endpoint) == 2, "it is tried again")
    org.publish(topic)
    org.settled(called, matched=2)
    kept = eventually(
        lambda: (all := listed(org, called)) and len(all) >= len(outcomes) and all,
        "they are on record",
    )
    assert sorted(a["outcome"] for a in kept) == outcomes
    (seen,) = [d for d in org.deliveries_of(failed) if d["subscription"] == called]
    of_it = [a["outcome"] for a in seen["attempts"]]
    assert of_it == (["retry"] if history == "failures" else ["retry", "delivered"])


def test_history_has_three_values(org, topic, name):
    body = {"name": name("s"), "topic": topic, "filters": [], "sink": {"url": "http://127.0.0.1:1"}}
    answer = org.post(SUBSCRIPTIONS, {**body, "history": "some"}, expect=422).json()
    assert [d["field"] for d in answer["details"]] == ["history"], answer


def test_pages_hold_every_attempt_once_newest_first(org, topic, hook):
    for _ in range(3):
        org.publish_batch(topic, [event() for _ in range(20)])
    org.settled(hook.subscription, matched=60)
    eventually(lambda: len(listed(org, hook.subscription)) == 60, "all are on record")
    pages = listed(org, hook.subscription, limit=7)
    assert len({(a["partition"], a["offset"]) for a in pages}) == 60
    assert [a["time"] for a in pages] == sorted((a["time"] for a in pages), reverse=True)
    bad = org.get(f"{SUBSCRIPTIONS}/{hook.subscription}/deliveries?cursor=x", expect=400).json()
    assert "cursor" in bad["message"], bad


def test_attempts_of_a_replay_are_in_the_list_of_its_subscription(org, receiver, name):
    called = name("replayed")
    org.create_topic(called)
    endpoint = receiver.endpoint()
    org.subscribe(called, called, endpoint.url)
    position = org.publish(called)
    org.settled(called, matched=1)
    replay = org.post(f"{SUBSCRIPTIONS}/{called}/replay", {"from": "earliest"}, expect=201).json()
    eventually(lambda: len(endpoint) == 2, "it is replayed")
    found = eventually(lambda: len(f := listed(org, called)) == 2 and f, "both are on record")
    assert [a.get("replay") for a in found] == [replay["id"], None]
    (seen,) = org.deliveries_of(position)
    assert [a.get("replay") for a in seen["attempts"]] == [None, replay["id"]]
    org.delete(f"{SUBSCRIPTIONS}/{called}")

