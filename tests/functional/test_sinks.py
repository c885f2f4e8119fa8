"""What sinks can be asked for: the structured mode, the webhook handshake, events in answers."""

import base64
import json
import time

from conftest import make_key
from lib.client import SUBSCRIPTIONS, event
from lib.receiver import Answer
from lib.wait import eventually


def allowing(allowed: dict):
    """An endpoint that answers OPTIONS with `allowed`, whatever is in it by then."""

    def answer(request):
        return Answer(200, headers=dict(allowed)) if request.method == "OPTIONS" else Answer(204)

    return answer


def posts(endpoint) -> list:
    return [request for request in endpoint.requests if request.method == "POST"]


# ---- the structured mode


def test_structured_mode_keeps_text_json_and_bytes(org, topic, receiver, subscribe):
    hook = receiver.endpoint()
    called = subscribe(hook.url)
    structured = receiver.endpoint()
    also = subscribe(sink={"url": structured.url, "mode": "structured"})
    blob = bytes(range(256))
    events = [
        event(id="json", data={"n": 1.5, "s": "ü"}, datacontenttype="application/json", a1="x"),
        event(id="text", data="plain\n", datacontenttype="text/plain"),
        event(
            id="bytes",
            data_base64=base64.b64encode(blob).decode(),
            datacontenttype="application/octet-stream",
        ),
        event(id="none"),
    ]
    org.publish_batch(topic, events)
    org.settled(called, matched=4)
    org.settled(also, matched=4)
    got = {json.loads(r.body)["id"]: r for r in structured.requests}
    for sent in events:
        request = got[sent["id"]]
        assert request["content-type"] == "application/cloudevents+json; charset=UTF-8"
        assert not [name for name in request.headers if name.startswith("ce-")]
        seen = json.loads(request.body)
        assert {name: seen[name] for name in sent} == sent
        assert set(seen) - set(sent) <= {"time"}


def test_batches_share_requests_and_the_bad_event_is_found(org, topic, receiver, subscribe):
    def answer(request):
        bad = any(e["id"] == "bad" for e in json.loads(request.body))
        return Answer(422 if bad else 204)

    hook = receiver.endpoint(answer)
    called = subscribe(
        sink={"url": hook.url, "mode": "batch"}, retry={"minBackoff": "50ms", "maxBackoff": "50ms"}
    )
    ids = [f"batch-{n}" for n in range(149)] + ["bad"]
    org.publish_batch(topic, [event(id=i, data={"id": i}) for i in ids])
    settled = org.settled(called, matched=150)
    assert settled["delivered"] == 149 and settled["deadLettered"] == 1
    requests = hook.requests
    assert len(requests) < 130
    for request in requests:
        events = json.loads(request.body)
        assert request["content-type"] == "application/cloudevents-batch+json; charset=UTF-8"
        assert len(request["dispatch-deliveries"].split(",")) == len(events) <= 100
        assert request["webhook-id"] == request["dispatch-deliveries"].split(",")[0]
    fine = [e["id"] for r in requests for e in json.loads(r.body) if "bad" not in r.body.decode()]
    assert sorted(fine) == sorted(ids[:-1])
    (letter,) = eventually(
        lambda: org.get(f"{SUBSCRIPTIONS}/{called}/dead-letters", expect=200).json(), "it is one"
    )
    assert letter["eventId"] == "bad"


# ---- the handshake


def test_a_subscription_waits_until_its_endpoint_allows_it(org, topic, receiver, name):
    allowed: dict = {}
    hook = receiver.endpoint(allowing(allowed))
    called = name("asked")
    made = org.subscribe(called, topic, sink={"url": hook.url, "handshake": True})
    assert made["status"] == "CREATING" and made["handshake"] == {"state": "pending"}
    eventually(
        lambda: expect("WebHook-Allowed-Origin" in org.subscription(called)["reason"][0]),
        "the reason says what is missing",
    )
    (asked, *_) = hook.requests
    assert asked.method == "OPTIONS" and asked["webhook-request-origin"]
    assert "webhook-request-rate" not in asked.headers
    # What is published meanwhile is kept for it; resuming does not get round it.
    ids = [org.publish(topic)["id"] for _ in range(3)]
    org.post(f"{SUBSCRIPTIONS}/{called}/resume", expect=200)
    assert org.subscription(called)["status"] == "CREATING"
    allowed["WebHook-Allowed-Origin"] = asked["webhook-request-origin"]
    allowed["WebHook-Allowed-Rate"] = "6000"
    ready = eventually(lambda: is_ready(org, called), "it is allowed", 30)
    assert ready["handshake"] == {"state": "allowed", "allowedRate": 6000}
    org.settled(called, matched=3)
    assert sorted(request.event_id for request in posts(hook)) == sorted(ids)
    org.delete(f"{SUBSCRIPTIONS}/{called}")


def is_ready(org, called: str) -> dict:
    subscription = org.subscription(called)
    assert subscription["status"] == "READY", subscription
    return subscription


def expect(holds: bool) -> bool:
    assert holds
    return True


def test_the_allowed_rate_holds_and_a_new_endpoint_is_asked_again(org, topic, receiver, name):
    hook = receiver.endpoint(
        allowing({"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "300"})
    )
    called = name("rated")
    sink = {"url": hook.url, "handshake": True}
    org.subscribe(called, topic, sink=sink, rateLimit={"events": 100, "per": "1s"})
    eventually(lambda: is_ready(org, called), "it is allowed")
    assert hook.requests[0]["webhook-request-rate"] == "6000"
    begin = time.monotonic()
    org.publish_batch(topic, [event() for _ in range(11)])
    org.settled(called, matched=11, bound=60)
    # 300 a minute are 5 a second: the first at once, ten more take two seconds.
    assert posts(hook)[-1].time - begin >= 1.8

    other = receiver.endpoint(allowing({}))
    body = {k: v for k, v in org.subscription(called).items() if k in ("name", "topic", "filters")}
    org.put(f"{SUBSCRIPTIONS}/{called}", {**body, "sink": {**sink, "url": other.url}}, expect=200)
    assert org.subscription(called)["handshake"] == {"state": "pending"}
    eventually(lambda: expect(len(other) > 0), "the other endpoint is asked")
    org.publish(topic)
    org.put(f"{SUBSCRIPTIONS}/{called}", {**body, "sink": sink | {"handshake": False}}, expect=200)
    assert "handshake" not in is_ready(org, called)
    org.settled(called, matched=12)
    assert posts(other) == [] and len(posts(hook)) == 12
    org.delete(f"{SUBSCRIPTIONS}/{called}")


def test_an_empty_port_is_refused(org, topic, name):
    body = {"name": name("x"), "topic": topic, "filters": [], "sink": {"url": "http://127.0.0.1:/"}}
    answer = org.post(SUBSCRIPTIONS, body, expect=422).json()
    assert answer["details"][0]["field"] == "sink.url" and "empty port" in answer["message"]


# ---- events in answers


BINARY = {"ce-specversion": "1.0", "ce-type": "reply", "ce-source": "/worker"}


def replies(org, name, receiver, answers) -> tuple:
    """A topic whose subscription answers as told, and the endpoint that gets the replies."""
    asked, answered = name("asked"), name("answered")
    for made in (asked, answered):
        org.create_topic(made)
    worker, sink = receiver.endpoint(answers), receiver.endpoint()
    org.subscribe(f"{asked}-s", asked, worker.url, replyTopic=answered, retry={"minBackoff": "50ms"})
    org.subscribe(f"{answered}-s", answered, sink.url)
    return asked, f"{asked}-s", worker, sink


def test_events_in_answers_are_published(fresh_org, name, receiver):
    def answer(request):
        kind = json.loads(request.body)["kind"]
        if kind == "binary":
            headers = {**BINARY, "ce-id": "b-1", "content-type": "text/plain"}
            return Answer(200, headers=headers, body=b"\x00bytes")
        if kind == "structured":
            body = {"specversion": "1.0", "type": "reply", "source": "/w", "data": {"n": 1}}
            headers = {"content-type": "application/cloudevents+json"}
            return Answer(200, headers=headers, body=json.dumps(body).encode())
        return Answer(200, headers={"content-type": "application/json"}, body=b"{}")

    asked, called, worker, sink = replies(fresh_org, name, receiver, answer)
    for kind in ("binary", "structured", "none"):
        fresh_org.publish(asked, data={"kind": kind})
    fresh_org.settled(called, matched=3)
    got = {r["ce-id"]: r for r in eventually(lambda: exactly(sink, 2), "the replies are delivered")}
    assert got["b-1"].body == b"\x00bytes" and got["b-1"]["ce-dispatchhops"] == "1"
    (structured,) = [r for r in worker.requests if json.loads(r.body)["kind"] == "structured"]
    assert f"{structured.delivery_id}-reply" in got


def exactly(endpoint, count: int) -> list:
    assert len(endpoint) == count
    return endpoint.requests


def test_a_reply_that_is_no_event_fails_the_attempt(fresh_org, name, receiver):
    asked, called, worker, sink = replies(
        fresh_org, name, receiver, Answer(200, headers={**BINARY, "ce-id": "ok"})
    )
    worker.script(Answer(200, headers={"ce-specversion": "1.0", "ce-id": "1"}))
    position = fresh_org.publish(asked)
    fresh_org.settled(called, matched=1)
    eventually(lambda: exactly(sink, 1), "the reply is delivered")
    (delivery,) = fresh_org.deliveries_of(position)
    first, second = eventually(lambda: two(fresh_org, position), "both attempts are recorded")
    assert first["outcome"] == "retry" and "bad-reply" in first["message"], delivery
    assert second["outcome"] == "delivered"


def two(org, position) -> list:
    (delivery,) = org.deliveries_of(position)
    assert len(delivery["attempts"]) == 2
    return delivery["attempts"]


def test_a_loop_of_replies_ends_in_a_dead_letter(fresh_org, name, receiver):
    looped = name("loop")
    fresh_org.create_topic(looped)
    worker = receiver.endpoint(Answer(200, headers=BINARY))
    fresh_org.subscribe(looped, looped, worker.url, replyTopic=looped)
    fresh_org.publish(looped)

    letters = f"{SUBSCRIPTIONS}/{looped}/dead-letters"
    (letter,) = eventually(lambda: fresh_org.get(letters, expect=200).json(), "it is cut", 60)
    assert letter["reason"] == "rejected" and "loop" in letter["message"]
    assert len(worker) == 17
    hops = [int(r.headers.get("ce-dispatchhops", 0)) for r in worker.requests]
    assert hops == list(range(17))
    assert len({r["ce-id"] for r in worker.requests}) == 17


def test_who_makes_a_reply_topic_must_be_allowed_to_publish_there(fresh_org, name):
    for called in ("in", "out"):
        fresh_org.create_topic(called)
    body = {"name": "s", "topic": "in", "filters": [], "sink": {"url": "http://127.0.0.1:1/"}}
    body["replyTopic"] = "out"
    may = make_key(fresh_org, name("key"), ["subscribe", "read", "publish:topic/in"])
    assert "publish" in may.post(SUBSCRIPTIONS, body, expect=403).json()["message"]
    made = fresh_org.post(SUBSCRIPTIONS, {**body, "replyTopic": "none"}, expect=422).json()
    assert made["details"][0]["field"] == "replyTopic"
    both = make_key(fresh_org, name("key"), ["subscribe", "read", "publish:topic/out"])
    assert both.post(SUBSCRIPTIONS, body, expect=201).json()["replyTopic"] == "out"
    assert may.put(f"{SUBSCRIPTIONS}/s", body).status_code == 403
