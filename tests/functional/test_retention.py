"""A position that retention passed is told as lost: by the figures, the verdict and the reason."""

import pytest
from conftest import settled_ids
from lib.client import adds_up
from lib.kafka import delete_records
from lib.wait import eventually


@pytest.fixture
def own(org, receiver, name):
    """A topic of one partition with one subscription: (topic, endpoint, its name)."""
    topic, called, hook = name("retention"), name("sub"), receiver.endpoint()
    org.create_topic(topic, partitions=1)
    org.subscribe(called, topic, hook.url)
    yield topic, hook, called
    org.delete(f"/v1/subscriptions/{called}", expect=200)


def told(org, called, count):
    s = org.subscription(called)
    assert s["status"] == "READY" and len(s["reason"]) == 1, s
    assert f"retention took {count} of" in s["reason"][0], s
    return s


def test_what_retention_takes_in_a_pause_is_lost_and_told(stack, org, own):
    topic, hook, called = own
    org.publish(topic, id="first")
    org.settled(called, matched=1)
    org.post(f"/v1/subscriptions/{called}/pause", expect=200)
    for number in range(10):
        org.publish(topic, id=f"paused-{number}")
    delete_records(stack.kafka_brokers, f"{org.org_name}.{topic}", 0, 7)

    def lost():
        s = org.statistics(called)
        assert s["lost"] == 6 and s["unread"] == 4, s
        assert (s["retentionSeconds"] or 0) > 3600, s  # read in time
        return True

    eventually(lost, "it is told in the pause", 10)
    org.post(f"/v1/subscriptions/{called}/resume", expect=200)
    s = org.settled(called, matched=5)
    assert s["lost"] == 6 and adds_up(s), s
    assert settled_ids(hook) == ["first", *(f"paused-{number}" for number in range(6, 10))]
    assert s["verdict"]["state"] in ("LOSING", "OK") and "6" in s["verdict"]["text"], s
    stored = eventually(lambda: told(org, called, 6), "the reason says so", 10)
    metric = stack.metric("event-manager", "dispatch_subscription_lost_total", subscription=called)
    assert metric in (0, 6)  # of the last look
    stored["tags"] = [{"key": "seen", "value": "yes"}]
    for field in ("statistics", "revision", "id"):
        stored.pop(field, None)
    org.put(f"/v1/subscriptions/{called}", stored, expect=200)
    assert org.subscription(called)["reason"] == [], "an update clears it"


@pytest.mark.disruptive
def test_what_retention_takes_while_nobody_reads_is_lost_and_told(healthy, org, own):
    topic, hook, called = own
    org.publish(topic, id="first")
    org.settled(called, matched=1)
    healthy.terminate("event-manager")
    for number in range(10):
        org.publish(topic, id=f"away-{number}")
    delete_records(healthy.kafka_brokers, f"{org.org_name}.{topic}", 0, 5)
    healthy.restart("event-manager")
    s = org.settled(called, matched=7, bound=30)
    assert s["lost"] == 4 and adds_up(s), s
    assert settled_ids(hook) == [*(f"away-{number}" for number in range(4, 10)), "first"]
    eventually(lambda: told(org, called, 4), "the reason says so", 10)
    healthy.kill("event-manager")
    healthy.restart("event-manager")
    org.publish(topic, id="last")
    s = org.settled(called, matched=8, bound=30)
    assert s["lost"] == 4 and adds_up(s), s
