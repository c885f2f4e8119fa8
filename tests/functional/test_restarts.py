"""Every service killed with SIGKILL and stopped with SIGTERM: nothing is lost, and an orderly stop
repeats nothing."""

import subprocess
import threading

import pytest
import requests
from lib.client import adds_up, event
from lib.receiver import Answer
from lib.stack import SERVICES
from lib.wait import eventually

pytestmark = pytest.mark.disruptive

RETRY = {"maxAttempts": 50, "minBackoff": "500ms", "factor": 1, "jitter": 0}
BACK = 40  # seconds until everything flows again; the broker's session timeout is part of it


class Publisher:
    """Publishes until stopped; an event without an answer is not sent again."""

    def __init__(self, org, topic):
        self.client = org.with_key(org.key)
        self.topic = topic
        self.accepted: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _run(self):
        path = f"/v1/topics/{self.topic}/events"
        while not self._stop.wait(0.01):
            sent = event()
            try:
                answer = self.client.post(
                    path, sent, headers={"Content-Type": "application/cloudevents+json"}
                )
            except requests.RequestException:
                continue
            if answer.status_code == 202:
                self.accepted.append(sent["id"])


def test_sigkill_counts_errors_of_evaluation_once(healthy, org, topic, receiver, subscribe):
    """With what is complete: what is read again counts once."""
    hook = receiver.endpoint()
    called = subscribe(hook.url, filters=[{"sql": "INT(priority) > 5"}])
    for _ in range(5):
        org.publish_batch(topic, [event(priority="high") for _ in range(100)])
    healthy.kill("event-manager")
    healthy.restart("event-manager")
    org.publish(topic, priority="9")

    def counted():
        s = org.settled(called, matched=1, bound=BACK)
        assert s["evaluationErrors"]["kinds"] == {"cast": 500}, s
        return True

    eventually(counted, "each is counted once", BACK)


@pytest.mark.parametrize("service", SERVICES)
def test_sigkill_under_load_loses_nothing(healthy, org, topic, hook, receiver, subscribe, service):
    """Neither of the load, nor a delivery that waits for its next try, nor one that waits for an
    answer."""
    stack = healthy
    down = [True]
    waiting = receiver.endpoint(lambda request: Answer(503 if down[0] else 200))
    hanging = receiver.endpoint().script(Answer(hang=True))
    first = subscribe(waiting.url, retry=RETRY, eventType="stuck")
    second = subscribe(hanging.url, retry=RETRY, timeout="60s", eventType="stuck")
    org.publish(topic, "stuck", id="stuck")
    eventually(lambda: len(waiting) >= 1 and len(hanging) == 1, "both are tried")
    with Publisher(org, topic) as publisher:
        eventually(lambda: len(hook) > 30, "the load runs")
        stack.kill(service)
        before = len(publisher.accepted)
        stack.restart(service)
        eventually(lambda: len(publisher.accepted) > before + 30, "publishing goes on", BACK)
    if service != "function-manager":
        # The process that waits for the answer lives on; cut the connection so that it tries again.
        receiver.cut_hanging()
    down[0] = False
    for called, endpoint in ((first, waiting), (second, hanging)):
        s = org.settled(called, matched=1, bound=BACK)
        assert s["delivered"] == 1 and adds_up(s)
        assert set(endpoint.event_ids) == {"stuck"}
        assert len({request.delivery_id for request in endpoint.requests}) == 1, "one delivery id"
    eventually(lambda: set(publisher.accepted) <= set(hook.event_ids), "all are delivered", BACK)
    # One that was accepted in Kafka but got no answer may be there too.
    s = org.settled(hook.subscription, matched=len(set(hook.event_ids)), bound=BACK)
    assert s["delivered"] == s["matched"]


@pytest.mark.parametrize("service", SERVICES)
def test_sigterm_under_load_is_graceful(healthy, org, topic, hook, service):
    """Exit code 0, soon; every answer given; nothing lost; nothing delivered twice."""
    stack = healthy
    child = stack.start_as_child(service)
    try:
        eventually(lambda: stack.is_ready(service), f"{service} is ready", 60)
        with Publisher(org, topic) as publisher:
            eventually(lambda: len(hook) > 30, "the load runs", BACK)
            child.terminate()
            assert child.wait(25) == 0
            stack.restart(service)
            before = len(publisher.accepted)
            eventually(lambda: len(publisher.accepted) > before + 30, "publishing goes on", BACK)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    eventually(lambda: set(publisher.accepted) <= set(hook.event_ids), "all are delivered", BACK)
    assert len(hook.event_ids) == len(set(hook.event_ids)), "nothing twice"


def test_two_sigterms_end_a_service_in_order(healthy):
    """The second asks it to hurry, not to fail."""
    child = healthy.start_as_child("function-manager")
    try:
        eventually(lambda: healthy.is_ready("function-manager"), "function-manager is ready", 60)
        child.terminate()
        child.terminate()
        assert child.wait(25) == 0
    except subprocess.TimeoutExpired:
        child.kill()
        raise
