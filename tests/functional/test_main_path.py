"""Topic, subscription, event, delivery: the path that everything else varies."""

import json

from lib.client import adds_up
from lib.wait import eventually


def test_event_reaches_webhook(org, topic, hook):
    position = org.publish(topic, "order.created", {"amount": 7}, id="order-1", subject="7")
    eventually(lambda: len(hook) == 1, "the webhook is called")
    request = hook.requests[0]
    assert request.method == "POST"
    assert request["ce-id"] == "order-1"
    assert request["ce-type"] == "order.created"
    assert request["ce-source"] == "/tests"
    assert request["ce-subject"] == "7"
    assert request["ce-specversion"] == "1.0"
    assert request["content-type"] == "application/json"
    assert json.loads(request.body) == {"amount": 7}
    assert request.delivery_id
    assert position["topic"] == topic and position["partition"] == 0


def test_first_event_of_a_new_topic_is_delivered(fresh_org, receiver):
    hook = receiver.endpoint()
    fresh_org.create_topic("orders", partitions=4)
    fresh_org.subscribe("all", "orders", hook.url)
    ids = [fresh_org.publish("orders")["id"] for _ in range(8)]
    fresh_org.settled("all", matched=8)
    assert sorted(hook.event_ids) == sorted(ids)


def test_event_reaches_http_function(org, topic, receiver, subscribe, name):
    hook = receiver.endpoint()
    function = name("bill")
    made = org.post(
        "/v1/function", {"name": function, "runtime": "http", "url": hook.url}, expect=201
    )
    assert made.json()["status"] == "READY"
    called = subscribe(function=function, eventType="order.created")
    org.publish(topic, "order.created", {"amount": 7}, id="order-1")
    org.settled(called, matched=1)
    assert hook.event_ids == ["order-1"]


def test_subscription_to_a_missing_function_starts_when_it_is_made(
    org, topic, receiver, subscribe, name
):
    hook = receiver.endpoint()
    function = name("later")
    called = subscribe(function=function, eventType="order.created")
    org.publish(topic, "order.created", id="before")
    waiting = org.subscription(called)
    assert waiting["status"] == "CREATING"
    assert any(function in reason for reason in waiting["reason"])
    listed = org.get("/v1/event/subscriptions", expect=200).json()
    assert [s["status"] for s in listed if s["name"] == called] == ["CREATING"]
    org.post("/v1/function", {"name": function, "runtime": "http", "url": hook.url}, expect=201)
    eventually(lambda: hook.event_ids == ["before"], "what was kept is delivered")
    eventually(lambda: org.subscription(called)["status"] == "READY", "it is READY")


def test_strict_subscription_to_a_missing_function_is_refused(org, topic, name):
    body = {"name": name(), "topic": topic, "eventType": "a", "function": name("missing")}
    org.post("/v1/event/subscriptions?strict=true", body, expect=422)


def test_fan_out_reaches_every_subscription_once(org, topic, receiver, subscribe):
    hooks = {}
    for _ in range(5):
        hook = receiver.endpoint()
        hooks[subscribe(hook.url)] = hook
    ids = [org.publish(topic)["id"] for _ in range(10)]
    for called, hook in hooks.items():
        s = org.settled(called, matched=10)
        assert s["delivered"] == 10 and adds_up(s)
        assert sorted(hook.event_ids) == sorted(ids)
    delivery_ids = {request.delivery_id for hook in hooks.values() for request in hook.requests}
    assert len(delivery_ids) == 50, "every delivery has an id of its own"


def test_subscription_shows_its_statistics(org, topic, hook):
    for _ in range(4):
        org.publish(topic)
    org.settled(hook.subscription, matched=4)
    statistics = org.subscription(hook.subscription)["statistics"]
    assert statistics["matched"] == 4
    assert statistics["delivered"] == 4
    assert adds_up(statistics)


def test_deliveries_list_shows_attempts(org, topic, hook):
    position = org.publish(topic)
    org.settled(hook.subscription, matched=1)
    path = f"/v1/event/subscriptions/{hook.subscription}/deliveries"
    (found,) = eventually(lambda: org.get(path, expect=200).json(), "the attempt is listed")
    assert found["status"] == 200
    assert (found["partition"], found["offset"]) == (position["partition"], position["offset"])
    (here,) = [d for d in org.deliveries_of(position) if d["subscription"] == hook.subscription]
    assert here["status"] == "DELIVERED"


def test_trace_context_reaches_the_subscriber(org, topic, hook):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    org.request(
        "POST",
        f"/v1/topics/{topic}/events?type=a",
        data=b"x",
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "Content-Type": "text/plain"},
        expect=202,
    )
    eventually(lambda: len(hook) == 1, "the webhook is called")
    assert hook.requests[0]["traceparent"].split("-")[1] == trace


def test_configured_headers_reach_the_subscriber(org, topic, receiver, subscribe):
    hook = receiver.endpoint()
    subscribe(sink={"url": hook.url, "headers": {"X-Tenant": "seven"}})
    org.publish(topic)
    eventually(lambda: len(hook) == 1, "the webhook is called")
    assert hook.requests[0]["x-tenant"] == "seven"


def test_lag_names_topics_and_subscriptions(org, topic, hook):
    org.publish(topic)
    org.settled(hook.subscription, matched=1)

    def caught_up():
        lag = org.get("/v1/lag", expect=200).json()
        assert hook.subscription in [s["name"] for s in lag["subscriptions"]]
        (listed,) = [t for t in lag["topics"] if t["name"] == topic]
        (partition,) = listed["partitions"]
        return partition["partition"] == 0 and partition["end"] > 0 and partition["lag"] == 0

    eventually(caught_up, "the topic has no lag")
