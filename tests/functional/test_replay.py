"""A stretch of a topic delivered once more: exact, bounded, counted by itself, over restarts."""

import pytest
from lib.client import adds_up, event
from lib.receiver import OK, Answer
from lib.wait import eventually

SUBSCRIPTIONS = "/v1/subscriptions"


@pytest.fixture
def filled(org, receiver, name):
    """A topic of two partitions with 60 events that one subscription got: (endpoint, its name,
    results of publishing)."""
    topic, called, hook = name("replay"), name("sub"), receiver.endpoint()
    org.create_topic(topic, partitions=2)
    org.subscribe(called, topic, hook.url)
    sent = org.publish_batch(topic, [event("even" if i % 2 == 0 else "odd") for i in range(60)])
    org.settled(called, matched=60)
    yield hook, called, sent
    org.delete(f"{SUBSCRIPTIONS}/{called}", expect=200)


def begin(org, called, expect=201, **fields):
    return org.post(f"{SUBSCRIPTIONS}/{called}/replay", fields, expect=expect).json()


def get(org, called, replay):
    return org.get(f"{SUBSCRIPTIONS}/{called}/replays/{replay['id']}", expect=200).json()


def ended(org, called, replay, status="DONE", bound=30):
    def over():
        now = get(org, called, replay)
        assert now["status"] == status, now
        return now

    return eventually(over, f"the replay is {status}", bound)


def test_a_stretch_comes_once_more_and_only_it(org, filled):
    hook, called, sent = filled
    before = org.statistics(called)
    replay = begin(org, called, **{"from": {"offsets": [5, 3]}, "to": {"offsets": [15, 20]}})
    assert replay["status"] == "RUNNING" and replay["subscription"] == called
    done = ended(org, called, replay)
    bounds = {0: (5, 15), 1: (3, 20)}
    wanted = sorted(
        r["id"] for r in sent if bounds[r["partition"]][0] <= r["offset"] < bounds[r["partition"]][1]
    )
    assert sorted(hook.event_ids[60:]) == wanted
    count = len(wanted)
    progress = done["progress"]
    assert progress["matched"] == progress["delivered"] == progress["read"] == count, done
    assert done["offsets"] == count and done["finishedTime"]
    first = {r.event_id: r.delivery_id for r in hook.requests[:60]}
    for request in hook.requests[60:]:
        assert request.delivery_id != first[request.event_id], "deliveries of their own"
    after = org.statistics(called)
    assert after["matched"] == before["matched"] == 60 and adds_up(after), "it counts by itself"
    listed = org.get(f"{SUBSCRIPTIONS}/{called}/replays", expect=200).json()
    assert [r["id"] for r in listed] == [replay["id"]]


def test_filter_and_what_is_live_go_beside(org, filled):
    hook, called, sent = filled
    replay = begin(org, called, **{"from": "earliest", "filter": "type = 'even'"})
    topic = replay["topic"]
    live = [org.publish(topic, "even")["id"] for _ in range(5)]
    done = ended(org, called, replay)
    assert done["progress"]["delivered"] == 30, done
    s = org.settled(called, matched=65)
    assert adds_up(s) and len(hook) == 60 + 30 + 5
    assert all(hook.event_ids.count(i) == 1 for i in live), "what came later is not replayed"


def test_the_path_as_vmware_has_it(org, filled):
    _, called, _ = filled
    path = f"/v1/event/subscriptions/{called}"
    replay = org.post(f"{path}/replay", {"from": "earliest", "rate": 5}, expect=201).json()
    assert [r["id"] for r in org.get(f"{path}/replays", expect=200).json()] == [replay["id"]]
    assert org.get(f"{path}/replays/{replay['id']}", expect=200).json()["id"] == replay["id"]
    org.delete(f"{path}/replays/{replay['id']}", expect=200)


def test_rate_and_cancel(org, filled):
    hook, called, _ = filled
    replay = begin(org, called, **{"from": "earliest", "rate": 5})
    eventually(lambda: len(hook) > 62, "it runs")
    org.delete(f"{SUBSCRIPTIONS}/{called}/replays/{replay['id']}", expect=200)
    done = ended(org, called, replay, "CANCELLED")
    assert done["progress"]["delivered"] < 60, done
    org.publish(replay["topic"], id="after")
    org.settled(called, matched=61)
    seen = len(hook)
    assert seen < 120, "the rest did not come"
    again = org.delete(f"{SUBSCRIPTIONS}/{called}/replays/{replay['id']}", expect=200).json()
    assert again["finishedTime"] == done["finishedTime"], "cancelling twice is harmless"


def test_its_dead_letters_are_in_the_list_of_its_subscription(org, filled):
    hook, called, sent = filled
    path = f"{SUBSCRIPTIONS}/{called}/dead-letters"
    hook.default = Answer(400)
    replay = begin(org, called, **{"from": {"offsets": [2, 0]}, "to": {"offsets": [5, 0]}})
    done = ended(org, called, replay)
    assert done["progress"]["deadLettered"] == done["progress"]["matched"] == 3
    own = org.publish(org.subscription(called)["topic"])
    org.settled(called, matched=61)
    found = eventually(
        lambda: len(f := org.get(path, expect=200).json()) == 4 and f, "all are listed"
    )
    of_it = [letter for letter in found if letter.get("replay") == replay["id"]]
    assert [(f["partition"], f["offset"]) for f in of_it] == [(0, 2), (0, 3), (0, 4)]
    assert [f["eventId"] for f in found if "replay" not in f] == [own["id"]]
    whole = org.get(f"{path}/{of_it[0]['id']}", expect=200).json()
    assert whole["replay"] == replay["id"] and whole["event"]["source"] == "/tests"

    # A redrive is of the subscription's own.
    hook.default = OK
    job = org.post(f"{path}/redrive", {}, expect=202).json()
    assert job["total"] == 1

    def moved():
        now = org.get(f"{path}/redrive/{job['id']}", expect=200).json()
        return now["state"] == "DONE" and now

    assert eventually(moved, "the redrive is done")["moved"] == 1

    def counted():
        s = org.statistics(called)
        return (s["delivered"], s["deadLettered"]) == (61, 0) and adds_up(s)

    eventually(counted, "it was delivered")
    left = org.get(path, expect=200).json()
    assert sorted(f["id"] for f in left) == sorted(f["id"] for f in of_it)
    assert org.delete(path, expect=200).json() == {"purged": 3, "left": 0}
    assert org.get(path, expect=200).json() == []


def test_a_paused_subscription_is_replayed_to(org, filled):
    hook, called, _ = filled
    org.post(f"{SUBSCRIPTIONS}/{called}/pause", expect=200)
    ended(org, called, begin(org, called, **{"from": "earliest"}))
    assert len(hook) == 120


def test_failures_are_retried_and_counted_by_the_replay(org, filled):
    hook, called, _ = filled
    hook.script(*[Answer(400)] * 3)
    done = ended(org, called, begin(org, called, **{"from": "earliest"}))
    assert (done["progress"]["delivered"], done["progress"]["deadLettered"]) == (57, 3), done
    assert org.statistics(called)["deadLettered"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "earliest", "to": 5}, "to"),
        ({"from": "earliest", "filter": "type ="}, "filter"),
        ({"from": "earliest", "rate": 0}, "rate"),
        ({"from": "earliest", "speed": 1}, "speed"),
    ],
)
def test_bad_requests_name_the_field(org, filled, body, field):
    _, called, _ = filled
    refused = begin(org, called, expect=422, **body)
    assert refused["details"][0]["field"] == field


def test_what_does_not_exist_is_404(org, filled, name):
    _, called, _ = filled
    begin(org, name("none"), expect=404, **{"from": "earliest"})
    for method in ("GET", "DELETE"):
        org.request(method, f"{SUBSCRIPTIONS}/{called}/replays/nothing", expect=404)
    org.get(f"{SUBSCRIPTIONS}/{name('none')}/replays", expect=404)


def test_so_many_at_a_time(org, filled):
    hook, called, _ = filled
    hook.default = Answer(hang=True)
    replays = [begin(org, called, **{"from": "earliest", "rate": 1}) for _ in range(4)]
    refused = begin(org, called, expect=409, **{"from": "earliest"})
    assert "cancel" in refused["message"]
    for replay in replays:
        org.delete(f"{SUBSCRIPTIONS}/{called}/replays/{replay['id']}", expect=200)


@pytest.mark.disruptive
def test_a_replay_survives_crashes_of_both_managers(healthy, org, filled):
    hook, called, sent = filled
    # 2 a second of each partition: it lasts longer than a manager takes to come back.
    replay = begin(org, called, **{"from": "earliest", "rate": 2})
    for service in ("event-manager", "function-manager"):
        seen = len(hook)
        eventually(lambda seen=seen: len(hook) > seen + 1, "it goes on", 30)
        healthy.kill(service)
        healthy.restart(service)
    done = ended(org, called, replay, bound=60)
    assert done["progress"]["delivered"] == done["progress"]["matched"] == 60, done
    replayed = hook.requests[60:]
    assert {r.event_id for r in replayed} == {r["id"] for r in sent}
    s = org.statistics(called)
    assert s["matched"] == 60 and adds_up(s), s
