"""What ails a subscription is told within five seconds, with its cause, and is over within five
seconds after it was mended: by GET /v1/lag and by its stream."""

import threading
import time

import pytest
from confluent_kafka.admin import AdminClient
from lib.client import event
from lib.kafka import delete_records
from lib.lag_board import VERDICT_TIME, FollowedBoard
from lib.receiver import OK, Answer, Receiver
from lib.wait import eventually

WELL = ("OK", "BUSY")
BOTH = ("event-manager-1", "event-manager-2")
SESSION = 6.0  # seconds until Kafka's group takes a member for dead


@pytest.fixture
def own_receiver():
    """Not shared: all that hangs here is cut at once."""
    with Receiver() as running:
        yield running


class Flow:
    """Events to a topic, one each 50 ms, with keys in turn: `with Flow(org, topic)`."""

    def __init__(self, org, topic, keys=16):
        self.org = org.with_key(org.key, org.org)
        self.topic = topic
        self.keys = keys
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)

    def _run(self):
        number = 0
        while not self._stop.wait(0.05):
            self.org.publish(self.topic, partitionkey=f"k{number % self.keys}")
            number += 1


class Watched:
    """One subscription of an organisation of its own, followed."""

    def __init__(self, org, board, called):
        self.org = org.with_key(org.key, org.org)
        self.board = board
        self.called = called

    def row(self) -> dict | None:
        """As GET tells it; None while it tells nothing."""
        answer = self.org.get("/v1/lag", expect=(200, 503))
        rows = answer.json().get("subscriptions", ())
        return next((row for row in rows if row["name"] == self.called), None)

    def becomes(self, what, *states, cause="", bound=VERDICT_TIME):
        def right(row):
            verdict = (row or {"verdict": {"state": "", "text": ""}})["verdict"]
            return verdict["state"] in states and cause in verdict.get("cause", "")

        times = self.board.times_until(
            lambda board: right(board.rows.get(self.called)),
            lambda: right(self.row()),
            f"{what}: {states} {cause}",
            bound,
        )
        print(f"{what}: {times[0]:.1f} s by the stream, {times[1]:.1f} s by GET")


@pytest.fixture
def watch(fresh_org, name):
    """watch(url, partitions) -> (the watched subscription, its topic)"""
    made = []

    def make(url, partitions=4, retention=None, **fields):
        topic, called = name("verdicts"), name("sub")
        more = {"retention": retention} if retention else {}
        fresh_org.create_topic(topic, partitions=partitions, **more)
        fresh_org.subscribe(called, topic, url, **fields)
        board = FollowedBoard(fresh_org)
        board.__enter__()
        made.append((board, called))
        return Watched(fresh_org, board, called), topic

    yield make
    for board, called in made:
        board.__exit__()
        fresh_org.delete(f"/v1/subscriptions/{called}")


def flowing(endpoint):
    eventually(lambda: len(endpoint) >= 60, "events flow", 30)


@pytest.mark.alone
def test_an_endpoint_that_hangs(fresh_org, own_receiver, watch):
    endpoint = own_receiver.endpoint()
    watched, topic = watch(endpoint.url)
    with Flow(fresh_org, topic):
        flowing(endpoint)
        watched.becomes("it flows", *WELL)
        endpoint.default = Answer(hang=True)
        watched.becomes("it hangs", "STALLED", cause="in flight without an answer")
        endpoint.default = OK
        own_receiver.cut_hanging()
        watched.becomes("it answers again", *WELL)


def held(endpoint) -> float:
    """Seconds between the last two requests."""
    requests = endpoint.requests
    return requests[-1].time - requests[-2].time


@pytest.mark.alone
def test_an_endpoint_that_answers_503(fresh_org, own_receiver, watch):
    endpoint = own_receiver.endpoint()
    watched, topic = watch(endpoint.url)
    with Flow(fresh_org, topic):
        flowing(endpoint)
        endpoint.default = Answer(503)
        watched.becomes("it refuses", "STALLED", "FAILING", cause="503")
        watched.becomes("its circuit is open", "STALLED", cause="503", bound=2 * VERDICT_TIME)
        eventually(lambda: held(endpoint) >= 2.2, "it is held as long as it may be", 60)
        endpoint.default = OK
        watched.becomes("it is back", *WELL)


@pytest.mark.alone
def test_a_pause(fresh_org, own_receiver, watch):
    watched, topic = watch(own_receiver.endpoint().url)
    where = f"/v1/subscriptions/{watched.called}"
    with Flow(fresh_org, topic):
        fresh_org.post(f"{where}/pause", expect=200)
        watched.becomes("it is paused", "PAUSED")
        fresh_org.post(f"{where}/resume", expect=200)
        watched.becomes("it is resumed", *WELL)


@pytest.mark.alone
def test_all_keys_in_one_partition(fresh_org, own_receiver, watch):
    endpoint = own_receiver.endpoint()
    watched, topic = watch(endpoint.url, rateLimit={"events": 20, "per": "1s"})
    for _ in range(26):  # 10,000 are taken in before any is left unread
        fresh_org.publish_batch(topic, [event(partitionkey="one") for _ in range(500)])
    watched.becomes("its keys are uneven", "SKEWED", cause="unread events")
    stored = fresh_org.subscription(watched.called)
    for field in ("statistics", "revision", "id", "rateLimit"):
        stored.pop(field, None)
    fresh_org.put(f"/v1/subscriptions/{watched.called}", stored, expect=200)
    eventually(lambda: fresh_org.statistics(watched.called)["unread"] < 1000, "it catches up", 60)
    watched.becomes("it is read", *WELL)


@pytest.mark.alone
def test_retention_that_comes_close(stack, fresh_org, own_receiver, watch):
    endpoint = own_receiver.endpoint()
    bounded = {"time": "1h", "bytes": 1 << 20}
    watched, topic = watch(endpoint.url, partitions=1, retention=bounded)
    where = f"/v1/subscriptions/{watched.called}"
    fresh_org.publish_batch(topic, [event() for _ in range(10)])
    fresh_org.settled(watched.called, matched=10)
    fresh_org.post(f"{where}/pause", expect=200)
    fresh_org.publish_batch(topic, [event() for _ in range(20)])
    watched.becomes("it is far", "PAUSED")
    delete_records(stack.kafka_brokers, f"{fresh_org.org_name}.{topic}", 0, 8)
    watched.becomes("it comes close", "RETENTION_RISK", cause="retention is close")
    fresh_org.post(f"{where}/resume", expect=200)
    watched.becomes("all is read", *WELL)
    assert fresh_org.settled(watched.called, matched=30)["lost"] == 0


class Group:
    """One of event-manager's, as Kafka knows it."""

    def __init__(self, brokers, name):
        self.admin = AdminClient({"bootstrap.servers": brokers})
        self.name = name

    def shares(self) -> dict[str, set[str]]:
        """Member -> the topics of which it has partitions."""
        told = self.admin.describe_consumer_groups([self.name])[self.name].result(20)
        return {
            member.group_instance_id or member.member_id: {
                p.topic for p in member.assignment.topic_partitions
            }
            for member in told.members
        }

    def is_shared_by(self, members) -> bool:
        shares = self.shares().values()
        return len(shares) == members and all(shares)


@pytest.mark.disruptive
def test_one_of_two_event_managers_dies(healthy, fresh_org, own_receiver, watch):
    endpoint = own_receiver.endpoint()
    watched, topic = watch(endpoint.url, partitions=8)
    own = f"{fresh_org.org_name}.{topic}"
    reading = Group(healthy.kafka_brokers, "dispatch.event-manager")
    asked = Group(healthy.kafka_brokers, "dispatch.rpc.event-manager")
    eventually(lambda: asked.is_shared_by(1), "it is alone", 60)
    another = healthy.start_another("event-manager", DISPATCH_INSTANCE_ID="event-manager-2")
    try:
        with Flow(fresh_org, topic, keys=64):
            eventually(lambda: all(map(reading.shares().get, BOTH)), "both have a share", 60)
            eventually(lambda: asked.is_shared_by(2), "both are asked", 60)
            watched.becomes("both read", *WELL, bound=4 * VERDICT_TIME)
            # Whole topics may go to one of them: that is who dies.
            if own in reading.shares()["event-manager-2"]:
                another.kill()
            else:
                healthy.kill("event-manager")
            watched.becomes("one is dead", "STOPPED", cause="no event-manager reads")
            watched.becomes("the other reads", *WELL, bound=SESSION + VERDICT_TIME)
    finally:
        if healthy.pid("event-manager") is None:
            healthy.restart("event-manager")
        another.terminate()  # it leaves, if it lives
        try:
            another.wait(30)
        finally:
            another.kill()
        for group in (reading, asked):
            eventually(lambda group=group: group.is_shared_by(1), "it is alone again", 60)


def is_told(answer):
    told = answer.status_code == 503 and answer.json()["message"]
    return told and told.startswith("event-manager was not heard since 20")


@pytest.mark.disruptive
def test_the_only_event_manager_dies(healthy, fresh_org, own_receiver, watch):
    watched, topic = watch(own_receiver.endpoint().url)
    board, org = watched.board, watched.org

    def silent(how):
        began = time.time()
        healthy.kill("event-manager", how)
        times = board.times_until(
            lambda board: board.stale and board.stale.get("since", "")[:2] == "20",
            lambda: is_told(org.get("/v1/lag")),
            "event-manager is silent",
            VERDICT_TIME,
        )
        assert board.stale["reason"] == "event-manager is not heard"
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began - 2))
        assert since <= board.stale["since"], (since, board.stale)
        print(f"{how}: {times[0]:.1f} s by the stream, {times[1]:.1f} s by GET")

    def heard_again(what):
        times = board.times_until(
            lambda board: board.stale is None,
            lambda: org.get("/v1/lag").status_code == 200,
            f"the board is true again after {what}",
            VERDICT_TIME,
        )
        print(f"after {what}: {times[0]:.1f} s by the stream, {times[1]:.1f} s by GET")
        fresh_org.publish(topic)
        watched.becomes(f"it is well after {what}", *WELL, bound=4 * VERDICT_TIME)
        eventually(lambda: org.get("/v1/status").json()["status"] == "ok", "it is heard again")

    silent("STOP")
    healthy.kill("event-manager", "CONT")
    heard_again("SIGCONT")
    silent("KILL")
    healthy.restart("event-manager")
    healthy.await_ready()
    heard_again("a restart")
