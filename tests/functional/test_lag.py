"""The figures of /v1/lag and of /metrics, held against what the receiver counted and Kafka has."""

import threading
import time

import pytest
from lib.client import adds_up, total_pending
from lib.kafka import read_all
from lib.receiver import Answer
from lib.wait import STEP, eventually

LATE = 1.0  # seconds: a figure tells of all that was so before


def verdict(org, subscription):
    return org.statistics(subscription)["verdict"]


def test_figures_equal_the_ground_truth_when_the_load_stops(stack, org, topic, hook):
    before = len(read_all(stack.kafka_brokers, f"{org.org_name}.{topic}"))
    for _ in range(40):
        org.publish(topic)
    published = len(read_all(stack.kafka_brokers, f"{org.org_name}.{topic}")) - before
    assert published == 40
    s = org.settled(hook.subscription, matched=40)
    assert s["delivered"] == len(hook) == 40
    assert s["conservationError"] == 0 and adds_up(s)
    assert s["oldestUndelivered"] is None and s["oldestUndeliveredSeconds"] == 0
    assert s["verdict"]["state"] == "OK"


@pytest.mark.alone
def test_figures_follow_the_load_within_a_second(org, topic, hook):
    stop = threading.Event()
    sent = []

    def load():
        publisher = org.with_key(org.key)
        while not stop.wait(0.01):
            publisher.publish(topic)
            sent.append(1)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for target in (20, 60, 100):
            eventually(lambda target=target: len(hook) >= target, f"{target} received", 30)
            told, since = len(hook), time.monotonic()
            delivered = -1
            while delivered < told:
                asked = time.monotonic()
                s = org.statistics(hook.subscription)
                assert adds_up(s) and s["conservationError"] == 0, s
                delivered = s["delivered"]
                assert delivered >= told or asked < since + LATE, s
                time.sleep(STEP)
    finally:
        stop.set()
        thread.join()
    assert org.settled(hook.subscription, matched=len(sent))["delivered"] == len(hook)


def test_failing_endpoint_is_named_with_its_cause(org, topic, receiver, subscribe):
    endpoint = receiver.endpoint()
    endpoint.default = Answer(503)
    name = subscribe(endpoint.url, retry={"minBackoff": "1h", "maxBackoff": "1h"})
    org.publish(topic)

    def stalled():
        s = org.statistics(name)
        assert s["verdict"]["state"] == "STALLED", s
        assert "503" in s["verdict"]["cause"] and s["verdict"]["since"], s
        assert s["failingSince"] and total_pending(s) == 1, s
        assert s["oldestUndeliveredAccuracy"] == "exact", s
        return True

    eventually(stalled, "the verdict says why", 10)


def test_unread_events_have_an_exact_age(stack, org, topic, hook):
    org.post(f"/v1/event/subscriptions/{hook.subscription}/pause", {}, expect=200)
    org.publish(topic)
    last = read_all(stack.kafka_brokers, f"{org.org_name}.{topic}")[-1]

    def told():
        s = org.statistics(hook.subscription)
        assert s["unread"] == 1 and s["verdict"]["state"] == "PAUSED", s
        assert s["oldestUndeliveredAccuracy"] == "exact", s
        return s["oldestUndelivered"]

    oldest = eventually(told, "the oldest unread event is known", 10)
    milliseconds = last.timestamp()[1] % 1000
    assert oldest.rstrip("Z").partition(".")[2].ljust(3, "0")[:3] == f"{milliseconds:03}"


def test_metrics_equal_the_figures(stack, org, topic, hook):
    for _ in range(5):
        org.publish(topic)
    org.settled(hook.subscription, matched=5)
    labels = {"org": org.org_name, "subscription": hook.subscription}

    def metric(name, **more):
        return stack.metric("event-manager", f"dispatch_subscription_{name}", **labels, **more)

    def equal():
        assert metric("matched_total") == metric("delivered_total") == 5
        assert metric("pending") == metric("unread") == metric("lost_total") == 0
        assert metric("conservation_error") == 0
        return True

    eventually(equal, "the metrics are those of the last look", 15)
    group = f"{org.org_name}.{hook.subscription}"
    samples = stack.metrics("event-manager")
    lag = [k for k in samples if k.startswith("kafka_consumergroup_lag{") and f'"{group}"' in k]
    assert [samples[k] for k in lag] == [0], {k: samples[k] for k in lag}
    for name in ("dispatch.event-manager", "dispatch.function-manager"):
        assert stack.metric("event-manager", "kafka_consumergroup_members", consumergroup=name) == 1


def attempts_of(org, topic, published, subscription):
    where = f"/v1/topics/{topic}/events/{published['partition']}/{published['offset']}/deliveries"
    found = org.get(where, expect=200).json()["deliveries"]
    mine = [d for d in found if d["subscription"] == subscription]
    assert len(mine) == 1 and mine[0]["attempts"], found
    return mine[0]["attempts"]


def test_attempts_show_the_first_kilobyte_of_a_text_answer(org, topic, hook):
    hook.default = Answer(200, body=("é" * 700).encode())
    published = org.publish(topic)
    attempt = eventually(
        lambda: attempts_of(org, topic, published, hook.subscription)[0], "the attempt is recorded"
    )
    assert attempt["answer"] == "é" * 512 and attempt["latencyMs"] > 0


def test_attempts_show_nothing_of_a_binary_answer(org, topic, hook):
    hook.default = Answer(200, body=b"\x00\x01\x02")
    published = org.publish(topic)
    attempt = eventually(
        lambda: attempts_of(org, topic, published, hook.subscription)[0], "the attempt is recorded"
    )
    assert "answer" not in attempt


def test_event_that_a_paused_subscription_has_not_read_is_told_so(org, topic, hook):
    org.post(f"/v1/event/subscriptions/{hook.subscription}/pause", {}, expect=200)
    published = org.publish(topic)
    where = f"/v1/topics/{topic}/events/{published['partition']}/{published['offset']}/deliveries"

    def unread():
        found = org.get(where, expect=200).json()["deliveries"]
        mine = [d for d in found if d["subscription"] == hook.subscription]
        return [d["status"] for d in mine] == ["UNREAD"] and "paused" in mine[0]["reason"]

    eventually(unread, "the event is told as unread", 10)


def test_nothing_asks_the_database_before_it_is_migrated(stack):
    assert 'relation "attempts" does not exist' not in stack.log("function-manager")


@pytest.mark.disruptive
def test_figures_are_exact_after_both_managers_restart(healthy, org, topic, hook):
    for _ in range(30):
        org.publish(topic)
    org.settled(hook.subscription, matched=30)
    for service in ("event-manager", "function-manager"):
        healthy.kill(service)
        healthy.restart(service)
    healthy.await_ready()
    for _ in range(10):
        org.publish(topic)
    s = org.settled(hook.subscription, matched=40, bound=30)
    assert s["delivered"] == 40 and len(set(hook.event_ids)) == 40 and adds_up(s)
    assert s["conservationError"] == 0
