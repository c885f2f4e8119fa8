"""The checker of the chaos run must see what it is there for: no stack, made-up runs."""

import sys
from pathlib import Path

import pytest
from lib.receiver import Answer, Endpoint, Request

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

import checker  # noqa: E402
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
