"""How the lag moved is kept: GET /v1/lag/history, over restarts."""

import time

import pytest
from lib.client import event
from lib.wait import eventually

LOOKS = 30  # seconds: one each 10 s is kept, of looks each 5 s


def stamp(ago: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))


def history(org, *names, expect=200, **params):
    params = {"subscription": names, "step": "10s", "from": stamp(600), **params}
    answer = org.get("/v1/lag/history", params=params, expect=expect)
    return answer.json()


def series(org, name, **params) -> dict:
    (one,) = history(org, name, **params)["subscriptions"]
    assert one["name"] == name
    return one


def known(values) -> list:
    return [value for value in values if value is not None]


def waited(org, name) -> list:
    return known(series(org, name)["waiting"])


@pytest.fixture
def behind(fresh_org, name, receiver):
    """A paused subscription with 30 events before it, which its history knows; and its endpoint."""
    topic, called = name("history"), name("sub")
    hook = receiver.endpoint()
    fresh_org.create_topic(topic, partitions=4)
    fresh_org.subscribe(called, topic, hook.url)
    fresh_org.post(f"/v1/subscriptions/{called}/pause", expect=200)
    fresh_org.publish_batch(topic, [event() for _ in range(30)])
    eventually(lambda: waited(fresh_org, called)[-1:] == [30], "it is kept", LOOKS)
    return called


def test_the_lag_is_kept_as_it_was(fresh_org, behind):
    told = series(fresh_org, behind, partitions="true")
    lags = [p["lag"] for p in fresh_org.statistics(behind)["partitions"]]
    assert [known(partition)[-1] for partition in told["unread"]] == lags
    assert known(told["oldestSeconds"])[-1] <= LOOKS
    whole = history(fresh_org, behind)
    assert whole["stepSeconds"] == 10
    for values in ("waiting", "oldestSeconds", "settledPerSecond"):
        assert len(whole["subscriptions"][0][values]) in (60, 61)
    assert whole["subscriptions"][0]["waiting"][0] is None, "nobody looked before it was there"
    fresh_org.post(f"/v1/subscriptions/{behind}/resume", expect=200)
    fresh_org.settled(behind, matched=30)
    eventually(lambda: waited(fresh_org, behind)[-1] == 0, "what came then is kept too", LOOKS)
    assert max(waited(fresh_org, behind)) == 30
    rates = known(series(fresh_org, behind)["settledPerSecond"])
    assert abs(sum(rates) * 10 - 30) < 12, "30 in all, looked at some 10 s apart"
    (minutes,) = history(fresh_org, behind, step="1m")["subscriptions"]
    assert max(known(minutes["waiting"])) == 30


def test_only_what_is_there_and_may_be_read_is_told(fresh_org, behind, name):
    assert history(fresh_org, name("none"))["subscriptions"] == []
    several = history(fresh_org, behind, name("none"))["subscriptions"]
    assert [one["name"] for one in several] == [behind]
    for wrong in ({"step": "1s"}, {"from": "yesterday"}, {"partitions": "maybe"}):
        details = history(fresh_org, behind, expect=400, **wrong)["details"]
        assert details[0]["field"] == next(iter(wrong))
    assert history(fresh_org, expect=400)["details"][0]["field"] == "subscription"


@pytest.mark.disruptive
def test_the_history_is_there_after_a_restart(healthy, behind, fresh_org):
    before = waited(fresh_org, behind)
    healthy.restart("event-manager")
    healthy.await_ready()
    after = eventually(
        lambda: (found := waited(fresh_org, behind)) and len(found) > len(before) and found,
        "it goes on",
        LOOKS,
    )
    assert after[: len(before)] == before
    assert after[-1] == 30
