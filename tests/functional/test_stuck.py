"""One delivery that hangs, and all that was done behind it: a crash repeats what was in flight and at
most 100 ms of work, not what was done. DESIGN.md sections 3 and 10."""

import collections
import os
import signal
import threading
import time

import pytest
from lib.client import adds_up, event, total_pending
from lib.receiver import OK, Answer
from lib.stack import is_running
from lib.wait import eventually

pytestmark = pytest.mark.disruptive

BATCH = 100
# Between an answer and the checkpoint that knows of it: 100 ms, and what writing it takes on a
# machine that does everything else as well.
WORK = 0.1 + 0.4
MAX_IN_FLIGHT = 512


class Stuck:
    """A subscriber that never answers the first attempt of one event, and takes all others."""

    def __init__(self, receiver):
        self.tried = threading.Event()
        self.endpoint = receiver.endpoint(self.answer)

    def answer(self, request):
        if request.event_id == "stuck" and not self.tried.is_set():
            self.tried.set()
            return Answer(hang=True)
        return OK

    def done(self) -> int:
        return len(self.endpoint) - 1

    def arrivals(self) -> dict[str, list[float]]:
        found = collections.defaultdict(list)
        for request in self.endpoint.requests:
            found[request.event_id].append(request.time)
        return found


def publish(org, topic, first, count):
    for start in range(first, first + count, BATCH):
        org.publish_batch(topic, [event(id=f"e{i}") for i in range(start, start + BATCH)])


@pytest.mark.parametrize("count", [5_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_crash_repeats_what_was_in_flight_and_no_more(healthy, org, receiver, name, count):
    stack, topic, called = healthy, name("stuck"), name("stuck")
    org.create_topic(topic, partitions=4)
    stuck = Stuck(receiver)
    org.subscribe(called, topic, stuck.endpoint.url, timeout="30s")
    org.publish(topic, id="stuck")
    assert stuck.tried.wait(20)

    # event-manager alone, amid the work: the receiver notices nothing.
    half = count // 2
    load = threading.Thread(target=publish, args=(org.with_key(org.key), topic, 0, half))
    load.start()
    eventually(lambda: stuck.done() > half // 4, "the work is under way", 60)
    stack.kill("event-manager")
    stack.restart("event-manager")
    load.join()
    eventually(lambda: stuck.done() >= half, "everything behind it is done", 120)
    assert stuck.done() == half and len(stuck.arrivals()) == half + 1, "nothing twice"

    # Both, amid the work.
    load = threading.Thread(target=publish, args=(org.with_key(org.key), topic, half, count - half))
    load.start()
    eventually(lambda: stuck.done() > half + (count - half) // 2, "the work is under way", 60)
    pid = stack.pid("function-manager")
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_running(pid), "it is dead")
    stack.kill("event-manager")
    stack.restart("function-manager")
    stack.restart("event-manager")
    load.join()
    eventually(lambda: len(stuck.arrivals()) == count + 1, "everything behind it is done", 180)

    def all_but_one_settled():
        s = org.statistics(called)
        left = s["matched"] - s["delivered"]
        assert s["matched"] == count + 1 and s["unread"] == 0 and left <= 1, s
        assert total_pending(s) == left and adds_up(s), s
        return True

    eventually(all_but_one_settled, "the figures say so", 60)
    again = {i: times for i, times in stuck.arrivals().items() if len(times) > 1 and i != "stuck"}
    old = {i: killed - times[0] for i, times in again.items() if times[0] < killed - WORK}
    assert not old, f"{len(old)} were done long before the crash, up to {max(old.values()):.2f} s"
    recent = sum(killed - WORK <= times[0] <= killed for times in stuck.arrivals().values())
    assert len(again) <= MAX_IN_FLIGHT + recent
    assert all(len(times) == 2 for times in again.values())
    print(
        f"{count} events: {len(again)} repeated, the oldest delivered "
        f"{max((killed - times[0] for times in again.values()), default=0) * 1000:.0f} ms before"
    )
    if count > 5_000:
        s = org.settled(called, matched=count + 1, bound=90)
        assert s["delivered"] == count + 1
        assert len({r.delivery_id for r in stuck.endpoint.requests if r.event_id == "stuck"}) == 1
    org.delete(f"/v1/subscriptions/{called}", expect=200)
