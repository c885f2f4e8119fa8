"""What a slow or broken endpoint leaves waits in the event topic; others keep their pace."""

import contextlib

import pytest
from lib.client import adds_up, event, total_pending
from lib.receiver import OK, Answer
from lib.wait import eventually

pytestmark = pytest.mark.disruptive

EVENTS = 1000
ALLOWANCE = 20
BOUND = 2 * ALLOWANCE  # each of two partitions may be on its way to it


@contextlib.contextmanager
def small_allowance(stack):
    child = stack.start_as_child("event-manager", DISPATCH_MAX_PENDING=str(ALLOWANCE))
    try:
        eventually(lambda: stack.is_ready("event-manager"), "event-manager is ready", 60)
        yield
    finally:
        child.terminate()
        child.wait(30)
        stack.restart("event-manager")


def test_backlog_of_hanging_and_broken_endpoints_stays_in_the_topic(healthy, org, receiver, name):
    with small_allowance(healthy):
        topic = name("allowance")
        org.create_topic(topic, partitions=2)
        bad = {"hanging": Answer(hang=True), "broken": Answer(503)}
        endpoints = {what: receiver.endpoint(answer) for what, answer in bad.items()}
        good = [receiver.endpoint() for _ in range(3)]
        names = {}
        retry = {"minBackoff": "500ms", "maxBackoff": "2s", "maxAttempts": 1000}
        for what, endpoint in endpoints.items():
            names[what] = name(what)
            org.subscribe(names[what], topic, endpoint.url, timeout="3s", retry=retry)
        for endpoint in good:
            endpoint.subscription = name("good")
            org.subscribe(endpoint.subscription, topic, endpoint.url)
        sent = []
        for _ in range(EVENTS // 50):
            sent += [r["id"] for r in org.publish_batch(topic, [event() for _ in range(50)])]
        for endpoint in good:
            s = org.settled(endpoint.subscription, matched=EVENTS, bound=30)
            assert adds_up(s) and len(endpoint) == EVENTS, "others are not held back"

        def behind(called):
            s = org.statistics(called)
            assert s["mode"] == "catching-up", s
            assert total_pending(s) <= BOUND and s["unread"] >= EVENTS - BOUND, s
            assert s["conservationError"] == 0 and adds_up(s), s
            return True

        for called in names.values():
            eventually(lambda called=called: behind(called), f"{called} is behind", 20)
        for endpoint in endpoints.values():
            endpoint.default = OK
        receiver.cut_hanging()
        for what, called in names.items():
            s = org.settled(called, matched=EVENTS, bound=90)
            assert s["delivered"] == EVENTS and adds_up(s), s
            answered = zip(endpoints[what].event_ids, endpoints[what].statuses, strict=True)
            assert sorted(i for i, status in answered if status == 200) == sorted(sent), what
        for called in (*names.values(), *(endpoint.subscription for endpoint in good)):
            org.delete(f"/v1/subscriptions/{called}", expect=200)
