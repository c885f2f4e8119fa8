"""The checker of the chaos run must see what it is there for: no stack, made-up runs."""

import sys
from pathlib import Path

import pytest
from lib.receiver import Answer, Endpoint, Request

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

import checker  # noqa: E402
import plan  # noqa: E402
from faults import AFTERMATH, REACH, Cause, reach_of  # noqa: E402
from scenario import Subscription, payload  # noqa: E402


class Client:
    """Answers the dead-letter list."""

    def __init__(self):
        self.letters = []

    def get(self, path, expect):
        client = self

        class Page:
            links = {}

            @staticmethod
            def json():
                return [{"eventId": event_id} for event_id in client.letters]

        return Page


class MadeUp:
    """Three events of which two match, each delivered once; tests then spoil it."""

    def __init__(self):
        self.endpoint = Endpoint("http://nowhere/", Answer(200))
        self.client = Client()
        self.subscription = Subscription(
            "o", "t", "s", lambda type: type == "wanted", {}, self.endpoint, self.client
        )
        types = {"1": "wanted", "2": "wanted", "3": "other"}
        self.truth = checker.Truth(types, {i: (0, int(i)) for i in types}, [])
        self.statistics = {
            "matched": 2,
            "delivered": 2,
            "deadLettered": 0,
            "cancelled": 0,
            "unread": 0,
            "lost": 0,
            "pending": {"queued": 0, "inFlight": 0, "retrying": 0},
        }

    def deliver(self, event_id, delivery_id=None, body=None):
        headers = {"ce-id": event_id, "webhook-id": delivery_id or f"d-{event_id}"}
        body = payload(event_id) if body is None else body
        self.endpoint.take(Request(0.0, "POST", "/", headers, body))

    def verdict(self):
        return checker.examine(self.subscription, self.truth, self.statistics)

    def failed(self) -> set[str]:
        return {check for check, _ in self.verdict().faults}


@pytest.fixture
def made_up():
    return MadeUp()


def test_good_run_has_no_fault(made_up):
    made_up.deliver("1")
    made_up.deliver("2")
    assert made_up.failed() == set()


def test_missing_delivery_is_lost(made_up):
    made_up.deliver("1")
    assert made_up.verdict().lost == 1
    assert "lost" in made_up.failed()


def test_refused_delivery_is_lost_unless_it_is_a_dead_letter(made_up):
    made_up.deliver("1")
    made_up.endpoint.default = Answer(400)
    made_up.deliver("2")
    assert "lost" in made_up.failed()
    made_up.client.letters = ["2"]
    made_up.statistics.update(delivered=1, deadLettered=1)
    assert made_up.failed() == set()


def test_event_that_does_not_match_is_seen(made_up):
    for event_id in "123":
        made_up.deliver(event_id)
    assert made_up.failed() == {"unmatched"}


def test_repeat_is_counted_and_wants_the_same_id(made_up):
    for event_id in "122":
        made_up.deliver(event_id)
    assert made_up.verdict().duplicated == 1
    assert made_up.failed() == set()
    made_up.deliver("1", delivery_id="another")
    assert made_up.failed() == {"delivery id"}


def test_repeat_without_a_fault_behind_it_is_seen(made_up):
    for event_id in "122":
        made_up.deliver(event_id)
    found = checker.examine(
        made_up.subscription, made_up.truth, made_up.statistics, lambda first, second: False
    )
    assert [check for check, _ in found.faults] == ["repeats"]


def test_repeat_of_what_was_answered_too_late_is_explained(made_up):
    for event_id in "122":
        made_up.deliver(event_id)
    asked = []
    found = checker.examine(
        made_up.subscription,
        made_up.truth,
        made_up.statistics,
        lambda first, second: False,
        too_late=lambda event_id, attempt: asked.append((event_id, attempt)) is None,
    )
    assert not found.faults and found.too_late == 1 and asked == [("2", 0)]


def test_event_that_is_twice_in_the_log_has_two_deliveries(made_up):
    made_up.truth.again = {"1": [(0, 9)]}
    made_up.statistics.update(matched=3, delivered=3)
    for event_id in "12":
        made_up.deliver(event_id)
    assert made_up.verdict().lost == 1
    made_up.deliver("1", delivery_id="the second")
    assert made_up.failed() == set() and made_up.verdict().duplicated == 0
    made_up.deliver("1", delivery_id="a third")
    assert made_up.failed() == {"delivery id"}


def test_lost_answers_of_kafka_explain_what_is_there_twice():
    assert cause(plan.KILL, "kafka-2", 100).lost_acknowledgements(105)
    assert cause("stall", "api-gateway|kafka", 100, 110).lost_acknowledgements(105)
    for target in ("api-gateway", "function-manager|kafka", "postgres"):
        assert not cause(plan.KILL, target, 100).lost_acknowledgements(105)


def test_wrong_order_of_a_key_is_seen_where_it_is_asked_for(made_up):
    made_up.truth.keys = {"1": b"k", "2": b"k"}
    made_up.deliver("2")
    made_up.deliver("1")
    made_up.deliver("2")
    assert made_up.failed() == set()
    made_up.subscription.fields["ordering"] = "key"
    assert made_up.failed() == {"order"}
    made_up.truth.keys = {"1": b"k", "2": b"another"}
    assert made_up.failed() == set()


def test_changed_bytes_are_seen(made_up):
    made_up.deliver("1")
    made_up.deliver("2", body=b"{}")
    assert made_up.failed() == {"bytes"}


def test_statistics_that_lie_are_seen(made_up):
    made_up.deliver("1")
    made_up.deliver("2")
    made_up.statistics["delivered"] = 1
    assert made_up.failed() == {"conservation", "statistics"}


def test_dead_letter_that_was_delivered_is_seen(made_up):
    made_up.deliver("1")
    made_up.deliver("2")
    made_up.client.letters = ["2"]
    assert "dead letters" in made_up.failed()


def cause(kind, target, start, end=None):
    act = plan.Act(0.0, kind, target)
    return Cause(act, start, start if end is None else end, reach_of(act))


def test_crash_of_an_owner_explains_what_was_new_and_comes_soon():
    crash = cause(plan.KILL, "function-manager", 100)
    assert crash.explains(100 - REACH / 2, 105)
    assert not crash.explains(100 - REACH - 0.1, 105), "it was checkpointed"
    assert not crash.explains(99.9, 100 + AFTERMATH + 1), "that is too late"
    assert not crash.explains(90, 99.9), "it had not happened yet"
    outage = cause("stall", "function-manager|postgres", 120, 130)
    assert crash.explains(99.9, 130 + AFTERMATH, [crash, outage]), "nobody could send it before"
    assert not crash.explains(99.9, 130 + AFTERMATH + 1, [crash, outage])
    late = cause("stall", "function-manager|postgres", 100 + AFTERMATH + 1, 140)
    assert not crash.explains(99.9, 140, [crash, late]), "it would have come before that"


def test_what_ends_no_work_explains_nothing():
    for part in ("event-manager", "identity", "api-gateway"):
        assert not cause(plan.KILL, part, 100).explains(99.9, 101)
    for target in ("event-manager|kafka", "identity|postgres", "clients|api-gateway"):
        assert not cause("reset", target, 100, 105).explains(101, 102)
    assert not cause(plan.TERM, "function-manager", 100).explains(99.9, 101)
    for target in ("function-manager|endpoints", "function-manager|kafka-2", "kafka-1|kafka"):
        assert cause("reset", target, 100, 105).explains(101, 102)


class Accepted:
    """What recoveries() reads of a load: event i was accepted at its time."""

    def __init__(self, times):
        self.accepted = {("o", "t"): dict.fromkeys(times)}
        self.accepted_at = times


def recovery(made_up, causes, times, delivered):
    made_up.truth.positions = {i: (int(i) % 2, int(i)) for i in times}
    for event_id, at in delivered.items():
        made_up.endpoint.take(
            Request(at, "POST", "/", {"ce-id": event_id, "webhook-id": event_id}, b"")
        )
    return checker.recoveries(causes, Accepted(times), made_up.subscription, made_up.truth)


def test_recovery_is_when_every_partition_delivers_what_is_new(made_up):
    one = cause(plan.KILL, "kafka", 10.0)
    times = {"1": 9.0, "2": 11.0, "3": 11.0}
    found = recovery(made_up, [one], times, {"1": 12.0, "2": 13.0, "3": 17.0})
    assert found == [(one, 7.0)]


def test_recovery_counts_from_the_last_fault_that_came_between(made_up):
    one, two = cause(plan.KILL, "kafka", 10.0), cause(plan.KILL, "postgres", 14.0)
    accepted = {"2": 11.0, "3": 15.0, "4": 15.0}
    found = recovery(made_up, [one, two], accepted, {"2": 15.5, "3": 17.0, "4": 16.0})
    assert [seconds for _, seconds in found] == [3.0, 3.0]


def test_partition_that_never_delivers_again_is_seen(made_up):
    one = cause(plan.KILL, "kafka", 10.0)
    found = recovery(made_up, [one], {"1": 9.0, "2": 11.0}, {"1": 9.5, "2": 12.0})
    assert found == [(one, None)]


def links(nodes):
    return ["event-manager|kafka", "function-manager|postgres", *(f"identity|{n}" for n in nodes)]


@pytest.mark.parametrize("seed", range(20))
def test_long_run_meets_every_kind_and_kills_everything(seed):
    nodes = ["kafka-1", "kafka-2", "kafka-3"]
    world = plan.World(600, nodes, links(nodes), own_network=True)
    acts = plan.plan(600, seed, world)
    assert {act.kind for act in acts} == set(world.names())
    killed = {act.target for act in acts if act.kind == plan.KILL}
    assert killed == {*plan.SERVICES, *nodes, "postgres"}
    assert plan.plan(600, seed, world) == acts, "the same seed, the same plan"
    assert max(act.at + act.span for act in acts) <= 600
    only = plan.plan(60, seed, world, ["reset", plan.KILL])
    assert {act.kind for act in only} == {"reset", plan.KILL}
