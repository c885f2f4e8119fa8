"""What a subscriber's answer leads to: DESIGN.md section 5."""

import json

import pytest
from lib.client import adds_up, total_pending
from lib.receiver import OK, Answer
from lib.wait import eventually

SUBSCRIPTIONS = "/v1/event/subscriptions"
FAST = {"maxAttempts": 4, "minBackoff": "50ms", "factor": 1, "maxBackoff": "100ms", "jitter": 0}


@pytest.fixture
def answered(org, topic, receiver, subscribe):
    """answered(Answer, ...) -> endpoint with that script and a subscription; fields as of it."""

    def make(*script: Answer, then: Answer = OK, **fields):
        endpoint = receiver.endpoint(then).script(*script)
        endpoint.subscription = subscribe(endpoint.url, **{"retry": FAST, **fields})
        return endpoint

    return make


def dead_letters(org, called) -> list[dict]:
    return org.get(f"{SUBSCRIPTIONS}/{called}/dead-letters", expect=200).json()


def the_dead_letter(org, called) -> dict:
    (only,) = eventually(lambda: dead_letters(org, called), "there is a dead letter")
    return only


def delivery(org, position, called, attempts: int) -> dict:
    """What became of the event for a subscription, once so many attempts are on record: they are
    stored in batches, a moment after the answer."""

    def look():
        (found,) = [d for d in org.deliveries_of(position) if d["subscription"] == called]
        return found if len(found["attempts"]) >= attempts else None

    return eventually(look, f"{attempts} attempts are on record")


TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
DELIVERED = (200, 201, 202, 204)
FINAL = (301, 307, 400, 401, 404, 413, 422)


@pytest.fixture(scope="module")
def by_status(org, topic, receiver, name) -> dict:
    """One event, and for each status an endpoint that answers it: transient ones once, the others
    always. status -> endpoint."""
    made = {}
    for status in TRANSIENT + DELIVERED + FINAL:
        answer = Answer(status, {"Location": "http://127.0.0.1:1/"} if status in FINAL else {})
        endpoint = (
            receiver.endpoint().script(answer) if status in TRANSIENT else receiver.endpoint(answer)
        )
        endpoint.subscription = name("status")
        org.subscribe(endpoint.subscription, topic, endpoint.url, retry=FAST)
        made[status] = endpoint
    org.publish(topic, "order.created", {"amount": 7})
    yield made
    for endpoint in made.values():
        org.delete(f"{SUBSCRIPTIONS}/{endpoint.subscription}")


@pytest.mark.parametrize("status", TRANSIENT)
def test_transient_status_is_retried(org, by_status, status):
    hook = by_status[status]
    assert org.settled(hook.subscription, matched=1)["delivered"] == 1
    assert hook.statuses == [status, 200]
    assert len({request.delivery_id for request in hook.requests}) == 1, "the same delivery id"


@pytest.mark.parametrize("status", DELIVERED)
def test_every_2xx_is_a_delivery(org, by_status, status):
    hook = by_status[status]
    assert org.settled(hook.subscription, matched=1)["delivered"] == 1
    assert len(hook) == 1


@pytest.mark.parametrize("status", FINAL)
def test_final_status_is_a_dead_letter_at_once(org, by_status, status):
    hook = by_status[status]
    s = org.settled(hook.subscription, matched=1)
    assert (s["deadLettered"], s["delivered"]) == (1, 0)
    assert len(hook) == 1
    assert the_dead_letter(org, hook.subscription)["lastStatus"] == status


def test_dead_letter_can_be_inspected(org, topic, answered):
    hook = answered(then=Answer(400))
    position = org.publish(topic, "order.created", {"amount": 7}, id="bad-1")
    letter = the_dead_letter(org, hook.subscription)
    assert letter["eventId"] == "bad-1"
    assert letter["attempts"] == 1
    assert letter["reason"]
    assert (letter["topic"], letter["partition"], letter["offset"]) == (
        topic,
        position["partition"],
        position["offset"],
    )
    whole = org.get(
        f"{SUBSCRIPTIONS}/{hook.subscription}/dead-letters/{letter['id']}", expect=200
    ).json()
    assert whole["event"]["id"] == "bad-1"
    assert whole["event"]["type"] == "order.created"
    assert whole["event"]["data"] == {"amount": 7}
    alias = f"/v1/subscriptions/{hook.subscription}/dead-letters/{letter['id']}"
    assert org.get(alias, expect=200).json() == whole


def test_dead_letters_are_paged(org, topic, answered):
    hook = answered(then=Answer(400))
    ids = [org.publish(topic)["id"] for _ in range(7)]
    org.settled(hook.subscription, matched=7)
    eventually(lambda: len(dead_letters(org, hook.subscription)) == 7, "all are listed")
    seen, path = [], f"{SUBSCRIPTIONS}/{hook.subscription}/dead-letters?limit=3"
    pages = 0
    while path:
        answer = org.get(path, expect=200)
        assert len(answer.json()) <= 3
        seen += [letter["eventId"] for letter in answer.json()]
        path = answer.links["next"]["url"] if "next" in answer.links else None
        pages += 1
    assert sorted(seen) == sorted(ids)
    assert pages in (3, 4)


def test_dead_letters_go_to_a_topic_of_the_subscription_too(org, topic, name, answered, receiver):
    dead = name("dead")
    org.create_topic(dead, partitions=1)
    seen = receiver.endpoint()
    org.subscribe(name("sub"), dead, seen.url)
    hook = answered(then=Answer(400), deadLetterTopic=dead)
    position = org.publish(topic, "order.created", {"amount": 7}, id="bad-1", colour="red")
    assert org.settled(hook.subscription, matched=1)["deadLettered"] == 1
    (copy,) = eventually(lambda: seen.requests, "the copy is delivered")
    assert (copy["ce-id"], copy["ce-type"], copy["ce-colour"]) == ("bad-1", "order.created", "red")
    assert json.loads(copy.body) == {"amount": 7}
    assert copy["ce-deadletterreason"] == "rejected"
    assert copy["ce-deadletterstatus"] == "400"
    assert copy["ce-deadlettersubscription"] == hook.subscription
    assert copy["ce-deadlettersource"] == "{topic}/{partition}/{offset}".format(**position)
    assert copy["ce-deadletterdelivery"] == hook.requests[0].delivery_id
    assert the_dead_letter(org, hook.subscription)["eventId"] == "bad-1"
    used = org.delete(f"/v1/topics/{dead}", expect=409).json()["message"]
    assert "subscription" in used


@pytest.mark.parametrize("wrong", ["itself", "missing"])
def test_a_dead_letter_topic_is_another_one_of_the_organization(org, topic, name, receiver, wrong):
    body = {
        "name": name("sub"),
        "topic": topic,
        "filters": [],
        "sink": {"url": receiver.endpoint().url},
        "deadLetterTopic": topic if wrong == "itself" else "nowhere",
    }
    refused = org.post(SUBSCRIPTIONS, body, expect=422).json()
    assert refused["details"][0]["field"] == "deadLetterTopic"


def test_exhausted_attempts_are_a_dead_letter(org, topic, answered):
    hook = answered(then=Answer(500))
    position = org.publish(topic, id="1")
    s = org.settled(hook.subscription, matched=1)
    assert s["deadLettered"] == 1 and adds_up(s)
    assert len(hook) == FAST["maxAttempts"]
    letter = the_dead_letter(org, hook.subscription)
    assert letter["attempts"] == FAST["maxAttempts"]
    found = delivery(org, position, hook.subscription, FAST["maxAttempts"])
    assert found["status"] == "DEAD_LETTERED"
    assert [attempt["status"] for attempt in found["attempts"]] == [500] * FAST["maxAttempts"]


def test_too_old_delivery_is_a_dead_letter(org, topic, answered):
    retry = {**FAST, "maxAttempts": 1000, "maxAge": "500ms"}
    hook = answered(then=Answer(503), retry=retry)
    org.publish(topic)
    assert org.settled(hook.subscription, matched=1)["deadLettered"] == 1
    assert the_dead_letter(org, hook.subscription)["reason"]


def test_backoff_grows_by_its_factor(org, topic, answered):
    retry = {"maxAttempts": 4, "minBackoff": "100ms", "factor": 3, "maxBackoff": "10s", "jitter": 0}
    hook = answered(Answer(503), Answer(503), Answer(503), retry=retry)
    org.publish(topic)
    org.settled(hook.subscription, matched=1)
    times = [request.time for request in hook.requests]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert gaps[0] >= 0.095 and gaps[1] >= 0.295 and gaps[2] >= 0.895, gaps


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(org, topic, answered, status):
    hook = answered(Answer(status, {"Retry-After": "2"}))
    org.publish(topic)
    org.settled(hook.subscription, matched=1)
    first, second = hook.requests
    assert 1.95 <= second.time - first.time < 8


def test_hanging_subscriber_times_out_and_is_retried(org, topic, answered):
    hook = answered(Answer(hang=True), timeout="2s")
    position = org.publish(topic)
    s = org.settled(hook.subscription, matched=1)
    assert s["delivered"] == 1
    first, second = hook.requests[:2]
    assert second.time - first.time >= 1.8  # the receiver may have seen the first one late
    attempts = delivery(org, position, hook.subscription, 2)["attempts"]
    assert "timeout" in attempts[0]["message"] or "deadline" in attempts[0]["message"]


def test_reset_connection_is_retried(org, topic, answered):
    hook = answered(Answer(reset=True), Answer(reset=True))
    org.publish(topic)
    assert org.settled(hook.subscription, matched=1)["delivered"] == 1
    assert len(hook) == 3


def test_refused_connection_is_retried(org, topic, subscribe):
    called = subscribe("http://127.0.0.1:1/nobody", retry=FAST)
    org.publish(topic)
    assert org.settled(called, matched=1)["deadLettered"] == 1
    letter = the_dead_letter(org, called)
    assert letter["attempts"] == FAST["maxAttempts"]
    assert "connect" in letter["message"]


def test_410_disables_the_subscription(org, topic, answered):
    hook = answered(then=Answer(410))
    org.publish(topic, id="1")
    disabled = eventually(
        lambda: (s := org.subscription(hook.subscription))["status"] != "READY" and s,
        "it is disabled",
    )
    assert any("410" in reason or "gone" in reason.lower() for reason in disabled["reason"])
    assert the_dead_letter(org, hook.subscription)["eventId"] == "1"
    org.publish(topic, id="2")
    eventually(lambda: org.statistics(hook.subscription)["unread"] >= 1, "what comes after is kept")
    assert hook.event_ids == ["1"]


def test_redirect_is_not_followed(org, topic, receiver, answered):
    other = receiver.endpoint()
    hook = answered(then=Answer(302, {"Location": other.url}))
    org.publish(topic)
    assert org.settled(hook.subscription, matched=1)["deadLettered"] == 1
    assert len(other) == 0


def test_waiting_retry_is_pending(org, topic, answered):
    hook = answered(Answer(503), retry={**FAST, "minBackoff": "60s", "maxBackoff": "60s"})
    position = org.publish(topic)
    waiting = eventually(
        lambda: (s := org.statistics(hook.subscription))["pending"]["retrying"] == 1 and s,
        "it waits",
    )
    assert waiting["matched"] == 1 and adds_up(waiting)
    found = delivery(org, position, hook.subscription, 1)
    assert found["status"] not in ("DELIVERED", "DEAD_LETTERED", "no-record")
    assert [attempt["status"] for attempt in found["attempts"]] == [503]
    org.delete(f"{SUBSCRIPTIONS}/{hook.subscription}", expect=200)


def test_slow_subscriber_does_not_hold_up_another(org, topic, answered):
    slow = answered(then=Answer(200, delay=5), timeout="10s")
    quick = answered()
    for _ in range(20):
        org.publish(topic)
    s = org.settled(quick.subscription, matched=20, bound=4)
    assert s["delivered"] == 20
    assert total_pending(org.statistics(slow.subscription)) > 0


def test_max_in_flight_is_obeyed(org, topic, answered):
    hook = answered(then=Answer(200, delay=0.15), maxInFlight=2)
    for _ in range(10):
        org.publish(topic)
    org.settled(hook.subscription, matched=10)
    times = sorted(request.time for request in hook.requests)
    assert all(later - first >= 0.13 for first, later in zip(times, times[2:])), (
        "never three at once"
    )
