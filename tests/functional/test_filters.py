"""Which events a subscription gets: every dialect of the CloudEvents Subscriptions API, and `data`."""

import pytest
from conftest import settled_ids
from lib.wait import eventually

EVENTS = {
    "a": {"type": "order.created", "source": "/eu/shop", "subject": "7"},
    "b": {"type": "order.paid", "source": "/us/shop", "tenant": "seven"},
    "c": {"type": "user.created", "source": "/eu/crm"},
    "d": {"type": "ORDER.created", "source": "/eu/shop"},
}

DATA = {
    "a": {"order": {"country": "DE", "total": 10.0}},
    "c": {"order": {"country": "DE", "total": 100}},
    "d": {"order": {"total": 99.5, "items": [{"sku": "x-1"}]}},
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
    "sql": ({"filters": [{"sql": "type LIKE 'order.%' AND source = '/eu/shop'"}]}, "a"),
    "sql compares numbers": ({"filters": [{"sql": "subject > 6"}]}, "a"),
    "sql on what is not there is an error": ({"filters": [{"sql": "NOT (tenant = 'x')"}]}, "b"),
    "sql with functions": (
        {"filters": [{"sql": "LOWER(type) IN ('order.created', 'user.created')"}]},
        "acd",
    ),
    "sql inside not": ({"filters": [{"not": {"sql": "EXISTS subject OR EXISTS tenant"}}]}, "cd"),
    "data": ({"filters": [{"data": {"/order/country": {"exact": "DE"}}}]}, "ac"),
    "data by number": ({"filters": [{"data": {"/order/total": {"gte": 10, "lt": 100}}}]}, "ad"),
    "data that is not there": ({"filters": [{"data": {"/order": {"exists": False}}}]}, "b"),
    "data inside any": (
        {
            "filters": [
                {
                    "any": [
                        {"data": {"/order/items/0/sku": {"prefix": "x-"}}},
                        {"sql": "tenant = 'seven'"},
                    ]
                }
            ]
        },
        "bd",
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
        org.publish(topic, id=event_id, data=DATA.get(event_id), **attributes)
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


def test_errors_of_evaluation_are_counted(stack, org, topic, receiver, subscribe):
    """An event for which a filter ends with an error is no match: how many, why and which is told."""
    hook, all_hook = receiver.endpoint(), receiver.endpoint()
    called = subscribe(hook.url, filters=[{"sql": "INT(priority) > 5"}])
    follower = subscribe(all_hook.url, filters=[])

    def errors_of(count, **kinds):
        def told():
            s = org.statistics(called)
            errors = s["evaluationErrors"]
            assert errors["events"] == count and errors["kinds"] == kinds and s["unread"] == 0, s
            return s

        return eventually(told, f"{count} errors are told", 10)

    assert "last" not in errors_of(0)["evaluationErrors"]
    org.publish(topic, priority="high")
    last = org.publish(topic)
    org.settled(follower, matched=2)
    s = errors_of(2, cast=1, missingAttribute=1)
    assert s["matched"] == 0
    at = s["evaluationErrors"]["last"]
    assert (at["partition"], at["offset"]) == (last["partition"], last["offset"]), (at, last)
    verdict = s["verdict"]
    assert verdict["state"] == "OK" and "cast, missingAttribute" in verdict["text"], verdict
    org.publish(topic, priority="9", id="9")
    org.publish(topic, priority="1")
    s = org.settled(called, matched=1)
    assert settled_ids(hook) == ["9"] and s["evaluationErrors"]["events"] == 2, s
    assert s["verdict"]["text"] == "all is delivered or dead-lettered"
    assert org.statistics(follower)["evaluationErrors"] == {"events": 0, "kinds": {}}

    def metric():
        name = "dispatch_subscription_filter_errors_total"
        assert stack.metric("event-manager", name, subscription=called) == 2
        return True

    eventually(metric, "the metric is of the last look", 15)


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


@pytest.mark.parametrize(
    ("filters", "field", "reason"),
    [
        (
            [{"sql": "type = "}],
            "filters[0].sql",
            "column 8: the expression ends where a value is expected",
        ),
        (
            [{"not": {"sql": "LENGHT(id) > 3"}}],
            "filters[0].not.sql",
            "column 1: there is no function LENGHT with 1 argument",
        ),
        ([{"data": {"order": {"exact": 1}}}], 'filters[0].data["order"]', "a JSON pointer"),
    ],
    ids=["syntax", "function", "pointer"],
)
def test_fault_in_an_expression_names_place_and_remedy(org, topic, name, filters, field, reason):
    body = {
        "name": name(),
        "topic": topic,
        "filters": filters,
        "sink": {"url": "http://127.0.0.1:1/"},
    }
    answer = org.post("/v1/event/subscriptions", body, expect=422).json()
    details = {detail["field"]: detail["reason"] for detail in answer["details"]}
    assert reason in details[field]
