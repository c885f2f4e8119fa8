"""GET /v1/lag?follow=true, and the pages in which the gateway asks for the lag."""

import pytest
from lib.lag_board import follow
from lib.wait import eventually


def test_the_board_first_then_what_changed(fresh_org, receiver, name):
    topic, one, other = name("topic"), name("one"), name("other")
    fresh_org.create_topic(topic)
    for called in (one, other):
        fresh_org.subscribe(called, topic, receiver.endpoint().url)
    stream = follow(fresh_org)
    event, board = next(stream)
    assert event == "lag" and board["whole"]
    rows = {row["name"]: row for row in board["subscriptions"]}
    assert {one, other} <= rows.keys()
    assert topic in {row["name"] for row in board["topics"]}
    assert rows[one]["matched"] == 0
    fresh_org.publish(topic)
    seen = {}
    for _, change in stream:
        assert not change["whole"]
        seen.update({row["name"]: row for row in change["subscriptions"]})
        if seen.get(one, {}).get("delivered") == seen.get(other, {}).get("delivered") == 1:
            break
    fresh_org.delete(f"/v1/subscriptions/{other}", expect=200)
    gone = next(change for _, change in stream if change["subscriptionsRemoved"])
    assert gone["subscriptionsRemoved"] == [other]


@pytest.mark.long
def test_more_subscriptions_than_one_answer_has_room_for(fresh_org, receiver, name):
    """1,000 are a page: the gateway asks on, and everyone is there once."""
    topic = name("topic")
    fresh_org.create_topic(topic)
    url = receiver.endpoint().url
    made = [name(f"s{i}") for i in range(1_005)]
    for called in made:
        body = {"name": called, "topic": topic, "eventType": "none", "sink": {"url": url}}
        fresh_org.post("/v1/subscriptions", body, expect=(200, 201))

    def all_there():
        lag = fresh_org.get("/v1/lag", expect=200).json()
        names = [row["name"] for row in lag["subscriptions"]]
        assert len(names) == len(set(names))
        topics = [row["name"] for row in lag["topics"]]
        assert topics.count(topic) == 1
        return set(made) <= set(names)

    eventually(all_there, "all subscriptions show")
    for called in made:  # metrics show so many at most
        fresh_org.delete(f"/v1/subscriptions/{called}", expect=200)


def test_follow_must_be_true_or_false(org):
    answer = org.get("/v1/lag?follow=perhaps", expect=400).json()
    assert answer["details"][0]["field"] == "follow"
