"""A tool that reads committed offsets sees no false lag: what is committed follows the checkpoints,
so that it agrees with /v1/lag, also when one event is stuck before all others."""

import threading

import pytest
from lib.burrow import Burrow, Look
from lib.receiver import OK, Answer
from lib.wait import eventually

MATCHING, DELIVERING = "dispatch.event-manager", "dispatch.function-manager"
INVOCATIONS = "dispatch.invocations"
pytestmark = pytest.mark.alone  # others' events are lag of the same groups

STEP = 0.5  # seconds between two looks


def lag(latest: dict[tuple[str, int], Look]) -> int:
    return sum(one.lag for one in latest.values())


class Tool:
    """Both groups, looked at side by side."""

    def __init__(self, stack, topic):
        self.matching = Burrow(stack.kafka_brokers, MATCHING)
        self.delivering = Burrow(stack.kafka_brokers, DELIVERING)
        self.topic = topic
        # What others left behind endpoints that are gone is true lag, and not of this test.
        self.others = {key for key, one in self.delivering.look({INVOCATIONS}).items() if one.lag}

    def look(self) -> tuple[int, int]:
        """The lag of both now."""
        delivering = self.delivering.look({INVOCATIONS})
        mine = {key: one for key, one in delivering.items() if key not in self.others}
        return lag(self.matching.look({self.topic})), lag(mine)

    def window(self, until=lambda: False) -> None:
        """Fills the rings."""
        for _ in range(Burrow.INTERVALS):
            self.look()
            if until():
                return
            threading.Event().wait(STEP)  # the time between looks is what is measured

    def sick(self) -> dict:
        found = {**self.matching.sick(), **self.delivering.sick()}
        return {key: status for key, status in found.items() if key not in self.others}


@pytest.fixture
def tool(stack, org, name):
    """(the tool, a topic of two partitions that it looks at)"""
    topic = name("burrow")
    org.create_topic(topic, partitions=2)
    return Tool(stack, f"{org.org_name}.{topic}"), topic


def caught_up(tool):
    eventually(lambda: tool.look() == (0, 0), "committed offsets reach the ends", 20)


def test_at_rest_and_under_load(org, receiver, tool, name):
    tool, topic = tool
    called, endpoint = name("sub"), receiver.endpoint()
    org.subscribe(called, topic, endpoint.url)
    for number in range(20):
        org.publish(topic, partitionkey=f"k{number}")
    org.settled(called, matched=20)
    caught_up(tool)
    tool.window()
    assert tool.sick() == {}, "at rest"
    assert tool.look() == (0, 0)
    stop, sent = threading.Event(), []

    def load():
        client = org.with_key(org.key, org.org)
        while not stop.wait(0.02):
            client.publish(topic, partitionkey=f"k{len(sent)}")
            sent.append(1)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        tool.window()
        assert tool.sick() == {}, {k: tool.matching.looks.get(k) for k in tool.sick()}
        assert org.statistics(called)["verdict"]["state"] in ("OK", "BUSY")
    finally:
        stop.set()
        thread.join()
    org.settled(called, matched=20 + len(sent))
    caught_up(tool)
    org.delete(f"/v1/subscriptions/{called}", expect=200)


def test_one_stuck_event_is_no_lag_of_all_behind_it(org, receiver, tool, name):
    tool, topic = tool
    endpoint = receiver.endpoint()
    endpoint.default = lambda request: Answer(503) if request.event_id == "stuck" else OK
    called = name("sub")
    never = {"minBackoff": "1h", "maxBackoff": "1h", "maxAttempts": 100}
    org.subscribe(called, topic, endpoint.url, retry=never)
    org.publish(topic, id="stuck", partitionkey="one")
    eventually(lambda: "stuck" in endpoint.event_ids, "it is tried")
    for number in range(200):
        org.publish(topic, id=f"after-{number}", partitionkey="one")
    eventually(lambda: len(set(endpoint.event_ids)) == 201, "all others are delivered")
    caught_up(tool)
    tool.window()
    assert tool.sick() == {}
    assert tool.look() == (0, 0), "a tool that reads offsets sees no lag"
    told = org.statistics(called)
    assert told["unread"] == 0 and told["delivered"] == 200, told
    assert told["pending"]["retrying"] == 1, "and the board tells of the one"
    org.delete(f"/v1/subscriptions/{called}", expect=200)


def test_positions_are_those_of_the_board(org, receiver, tool, name):
    tool, topic = tool
    called, endpoint = name("sub"), receiver.endpoint()
    org.subscribe(called, topic, endpoint.url)
    for number in range(10):
        org.publish(topic, partitionkey=f"k{number}")
    org.settled(called, matched=10)
    caught_up(tool)
    latest = tool.matching.look({tool.topic})
    seen = {key[1]: (one.committed, one.end) for key, one in latest.items()}
    (mine,) = [t for t in org.get("/v1/lag", expect=200).json()["topics"] if t["name"] == topic]
    told = {p["partition"]: (p["position"], p["end"]) for p in mine["partitions"] if p["end"] > 0}
    assert told == {partition: pair for partition, pair in seen.items() if pair[1] > 0}
    assert sum(end for _, end in told.values()) == 10
    org.delete(f"/v1/subscriptions/{called}", expect=200)
