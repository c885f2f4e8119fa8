"""An event that ends the process which delivers it: DESIGN.md section 5, decision 0011."""

import threading

import pytest
from lib.client import adds_up, event
from lib.receiver import OK, Answer
from lib.wait import eventually

pytestmark = pytest.mark.disruptive

SUBSCRIPTIONS = "/v1/event/subscriptions"


def test_poison_is_quarantined(healthy, org, topic, receiver, subscribe):
    """Whoever sends it is killed at once, before its answer. It may end three that run it alone."""
    stack, kills, lock = healthy, [], threading.Lock()

    def answer(request):
        if request.event_id != "poison":
            return OK
        with lock:
            kills.append(request.delivery_id)
            stack.kill("function-manager")
        return Answer(hang=True)

    hook = receiver.endpoint(answer)
    called = subscribe(hook.url)
    before = [event(id=f"before-{i}") for i in range(20)]
    after = [event(id=f"after-{i}") for i in range(20)]
    position = org.publish_batch(topic, [*before, event(id="poison"), *after])[20]

    def quarantined():
        if stack.pid("function-manager") is None:
            stack.restart("function-manager", wait=False)
        answer = org.get(f"{SUBSCRIPTIONS}/{called}/dead-letters")
        return answer.status_code == 200 and answer.json()

    try:
        (letter,) = eventually(quarantined, "it is a dead letter", 120, step=0.5)
    finally:
        hook.default = OK  # whatever comes later kills nobody
    assert letter["eventId"] == "poison" and letter["reason"] == "quarantined"
    assert 3 <= len(kills) <= 6 and len(set(kills)) == 1
    s = org.settled(called, matched=41, bound=60)
    assert (s["delivered"], s["deadLettered"]) == (40, 1) and adds_up(s)
    assert set(hook.event_ids) == {e["id"] for e in (*before, *after)} | {"poison"}

    def told():
        (found,) = [d for d in org.deliveries_of(position) if d["subscription"] == called]
        return found["status"] == "DEAD_LETTERED" and found["reason"] == "quarantined" and found

    assert "ran alone" in eventually(told, "the trace tells it")["message"]


def test_hanging_suspects_of_a_crash_hold_nobody_up(healthy, org, name, receiver, subscribe, topic):
    """What may have ended the process runs one at a time, and what came later goes on beside it."""
    stack = healthy
    hook = receiver.endpoint(lambda request: Answer(hang=True))
    subscribe(hook.url)
    org.publish_batch(topic, [event() for _ in range(100)])
    eventually(lambda: len(hook.event_ids) >= 50, "they hang")
    other = name("other")
    org.create_topic(other)
    good = receiver.endpoint()
    org.subscribe(name("good"), other, good.url)
    for crash in range(1, 7):  # the sixth in a row has trials of up to 32 seconds
        stack.kill("function-manager")
        stack.restart("function-manager")
        org.publish_batch(other, [event() for _ in range(20)])
        eventually(
            lambda: len(set(good.event_ids)) == 20 * crash, f"delivered after crash {crash}", 10
        )
