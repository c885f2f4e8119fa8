"""Which events a subscription gets: every dialect of the CloudEvents Subscriptions API."""

import pytest
from conftest import settled_ids

EVENTS = {
    "a": {"type": "order.created", "source": "/eu/shop", "subject": "7"},
    "b": {"type": "order.paid", "source": "/us/shop", "tenant": "seven"},
    "c": {"type": "user.created", "source": "/eu/crm"},
    "d": {"type": "ORDER.created", "source": "/eu/shop"},
}

CASES = {
    "event type": ({"eventType": "order.created"}, "a"),
    "no filter takes all": ({"filters": []}, "abcd"),
    "exact": ({"filters": [{"exact": {"type": "order.paid"}}]}, "b"),
    "exact on two attributes": (
        {"filters": [{"exact": {"type": "order.created", "source": "/eu/shop"}}]},
        "a",
    ),
    "exact on an extension": ({"filters": [{"exact": {"tenant": "seven"}}]}, "b"),
    "exact on what is not there": ({"filters": [{"exact": {"subject": "none"}}]}, ""),
    "prefix": ({"filters": [{"prefix": {"type": "order."}}]}, "ab"),
    "suffix": ({"filters": [{"suffix": {"type": ".created"}}]}, "acd"),
    "all": (
        {"filters": [{"all": [{"prefix": {"type": "order."}}, {"suffix": {"type": ".created"}}]}]},
        "a",
    ),
    "any": (
        {
            "filters": [
                {"any": [{"exact": {"type": "order.paid"}}, {"prefix": {"source": "/eu/crm"}}]}
            ]
        },
        "bc",
    ),
    "not": ({"filters": [{"not": {"prefix": {"source": "/eu"}}}]}, "b"),
    "nested": (
        {
            "filters": [
                {
                    "not": {
                        "any": [
                            {"exact": {"type": "user.created"}},
                            {"all": [{"prefix": {"type": "ORDER"}}]},
                        ]
                    }
                },
                {"prefix": {"source": "/eu"}},
            ]
        },
        "a",
    ),
    "several filters must all hold": (
        {"filters": [{"prefix": {"type": "order."}}, {"prefix": {"source": "/us"}}]},
        "b",
    ),
    "event type and filter must both hold": (
        {"eventType": "order.created", "filters": [{"prefix": {"source": "/us"}}]},
        "",
    ),
}


@pytest.fixture(scope="module")
def subscribed(org, topic, receiver, name) -> dict:
    """Every case subscribed, and then the events published: case -> (subscription, endpoint)."""
    made = {}
    for case, (fields, _) in CASES.items():
        hook = receiver.endpoint()
        called = name("filter")
        org.subscribe(called, topic, hook.url, **fields)
        made[case] = called, hook
    for event_id, attributes in EVENTS.items():
        org.publish(topic, id=event_id, **attributes)
    yield made
    for called, _ in made.values():
        org.delete(f"/v1/event/subscriptions/{called}")


@pytest.mark.parametrize("case", CASES)
def test_filter(org, subscribed, case):
    called, hook = subscribed[case]
    wanted = CASES[case][1]
    follower, _ = subscribed["no filter takes all"]
    org.settled(follower, matched=len(EVENTS))
    org.settled(called, matched=len(wanted))
    assert settled_ids(hook) == sorted(wanted)


def test_changed_filter_holds_for_what_comes_after(org, topic, receiver, subscribe):
    hook = receiver.endpoint()
    called = subscribe(hook.url, eventType="old")
    org.publish(topic, "old", id="1")
    org.publish(topic, "new", id="2")
    body = {"name": called, "topic": topic, "eventType": "new", "sink": {"url": hook.url}}
    org.put(f"/v1/event/subscriptions/{called}", body, expect=200)
    org.publish(topic, "old", id="3")
    org.publish(topic, "new", id="4")
    org.settled(called, matched=2)
    assert settled_ids(hook) == ["1", "4"]


@pytest.mark.parametrize(
    "filters",
    [
        [{"exact": {}}],
        [{"exact": {"type": 1}}],
        [{"any": []}],
        [{"nosuch": {"type": "a"}}],
        [{"exact": {"type": "a"}, "prefix": {"type": "a"}}],
        [{"not": [{"exact": {"type": "a"}}]}],
        ["type"],
    ],
    ids=str,
)
def test_malformed_filter_is_refused_with_its_place(org, topic, name, filters):
    body = {
        "name": name(),
        "topic": topic,
        "filters": filters,
        "sink": {"url": "http://127.0.0.1:1/"},
    }
    answer = org.post("/v1/event/subscriptions", body, expect=422).json()
    assert any(detail["field"].startswith("filters") for detail in answer["details"])
