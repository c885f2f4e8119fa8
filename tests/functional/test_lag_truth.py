"""The lag figures against a count that publisher and receiver keep: what was true a second ago is
the least they may say, and what is true now the most. Exact when the load stops."""

import bisect
import dataclasses
import threading
import time

import pytest
from lib.client import adds_up, event, total_pending
from lib.kafka import read_all

EVENTS = 20_000
BATCH = 50
PUBLISHERS = 4
RATE = 2_500  # events a second at most: what a small machine does beside all the looking
LATE = 1.0  # seconds


class Publisher:
    """Publishes, and knows when each event was sent and when it was accepted."""

    def __init__(self, org, topic):
        self.org = org
        self.topic = topic
        self.sent: list[float] = []  # one time an event
        self.accepted: list[float] = []
        self._lock = threading.Lock()
        self._left = EVENTS
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(PUBLISHERS)]

    def start(self):
        for thread in self._threads:
            thread.start()

    def alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self):
        for thread in self._threads:
            thread.join(60)

    def _run(self):
        client = self.org.with_key(self.org.key)
        while True:
            began = time.monotonic()
            with self._lock:
                if self._left == 0:
                    return
                self._left -= BATCH
                self.sent += [began] * BATCH
            results = client.publish_batch(self.topic, [event() for _ in range(BATCH)])
            assert len(results) == BATCH
            took = time.monotonic() - began
            with self._lock:
                self.accepted += [began + took] * BATCH
            # A machine that is slower than the rate rests as long as it works.
            time.sleep(max(BATCH * PUBLISHERS / RATE - took, took))


@dataclasses.dataclass
class Look:
    asked: float
    answered: float
    subscription: dict
    partitions: list


def look(org, topic, called) -> Look:
    asked = time.monotonic()
    lag = org.get("/v1/lag", expect=200).json()
    answered = time.monotonic()
    (subscription,) = [s for s in lag["subscriptions"] if s["name"] == called]
    found = [t for t in lag["topics"] if t["name"] == topic]
    return Look(asked, answered, subscription, found[0]["partitions"] if found else [])


def between(figure: str, value: int, low: int, high: int, at: float) -> list[str]:
    if low <= value <= high:
        return []
    return [f"{figure} at {at:.2f} s is {value}; true was {low} {LATE:g} s before and {high} then"]


@pytest.mark.alone
def test_figures_are_those_of_the_last_second(stack, org, receiver, name):
    topic, called = name("truth"), name("truth")
    org.create_topic(topic, partitions=4)
    hook = receiver.endpoint()
    org.subscribe(called, topic, hook.url)
    publisher = Publisher(org, topic)
    started = time.monotonic()
    publisher.start()
    looks = []
    while publisher.alive() or len(hook) < EVENTS:
        assert time.monotonic() < started + 120, f"only {len(hook)} arrived"
        looks.append(look(org, topic, called))
        time.sleep(0.05)
    publisher.join()

    # At the stop: exact, and within the second.
    stopped = time.monotonic()
    while True:
        last = look(org, topic, called)
        s = last.subscription
        settled = s["delivered"] == s["matched"] == EVENTS and s["unread"] == total_pending(s) == 0
        # Those of the topic are of the checkpoints, which are a moment later.
        if settled and all(p["lag"] == 0 for p in last.partitions):
            break
        assert last.asked < stopped + LATE, f"not exact {LATE:g} s after the load: {last}"
    assert len(read_all(stack.kafka_brokers, f"{org.org_name}.{topic}")) == EVENTS == len(hook)
    assert s["lost"] == s["deadLettered"] == s["cancelled"] == 0 == s["conservationError"]
    assert sum(p["end"] for p in last.partitions) == EVENTS
    assert all(p["lag"] == 0 and p["position"] == p["end"] for p in last.partitions), last

    # During the load.
    sent, accepted = sorted(publisher.sent), sorted(publisher.accepted)
    arrived = sorted(request.time for request in hook.requests)
    wrong = []
    for one in looks:
        s, then, now = one.subscription, one.asked - LATE, one.answered
        at = one.asked - started
        accepted_then, sent_now = bisect.bisect(accepted, then), bisect.bisect(sent, now)
        arrived_then, arrived_now = bisect.bisect(arrived, then), bisect.bisect(arrived, now)
        wrong += between("delivered", s["delivered"], arrived_then, arrived_now, at)
        # Its sum with `unread` is of two moments: what was matched between them counts twice.
        wrong += between("matched", s["matched"], arrived_then, sent_now, at)
        open_now = s["unread"] + total_pending(s)
        low, high = max(0, accepted_then - arrived_now), sent_now - arrived_then
        wrong += between("unread + pending", open_now, low, high, at)
        if one.partitions:
            ends = sum(p["end"] for p in one.partitions)
            wrong += between("the topic's ends", ends, accepted_then, sent_now, at)
        if not adds_up(s) or s["conservationError"] != 0:
            wrong.append(f"does not add up at {at:.2f} s: {s}")
    assert not wrong, f"{len(wrong)} of {len(looks)} looks: {wrong[:5]}"
    assert len(looks) >= 20, "there was time to look"
    org.delete(f"/v1/subscriptions/{called}", expect=200)
