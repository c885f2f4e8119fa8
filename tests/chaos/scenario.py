"""What the chaos run sets up: organisations, topics, subscriptions, and for each subscription, in
Python and apart from the product's filters, which events it must get."""

import dataclasses
import gzip
import hashlib
import json
import random
from collections.abc import Callable

from lib.client import Client
from lib.receiver import OK, Answer, Endpoint, Receiver

PARTITIONS = 4
TIMEOUT_MS = 5000
RETRY = {"maxAttempts": 100, "minBackoff": "100ms", "factor": 2, "maxBackoff": "2s", "jitter": 0.2}

# (organisation, topic) -> share of all events; types -> share within the topic.
SHARES = {("north", "orders"): 0.75, ("north", "users"): 0.15, ("south", "orders"): 0.10}
TYPES = {
    "order.created": 0.30,
    "order.paid": 0.20,
    "order.item.added": 0.15,
    "user.created": 0.15,
    "user.deleted": 0.10,
    "bad.input": 0.05,
    "orders": 0.05,  # no "order." in front
}


@dataclasses.dataclass
class Subscription:
    org: str
    topic: str
    name: str
    wants: Callable[[str], bool]  # by type
    fields: dict
    endpoint: Endpoint | None = None
    client: Client | None = None

    @property
    def label(self) -> str:
        return f"{self.org}/{self.name}"


def subscriptions() -> list[Subscription]:
    make = Subscription
    return [
        make("north", "orders", "everything", lambda t: True, {"filters": []}),
        make(
            "north",
            "orders",
            "created",
            lambda t: t == "order.created",
            {"eventType": "order.created"},
        ),
        make(
            "north",
            "orders",
            "order-prefix",
            lambda t: t.startswith("order."),
            {"filters": [{"prefix": {"type": "order."}}]},
        ),
        make("north", "orders", "flaky", lambda t: t == "order.paid", {"eventType": "order.paid"}),
        make(
            "north", "orders", "rejecting", lambda t: t == "bad.input", {"eventType": "bad.input"}
        ),
        make(
            "north",
            "orders",
            "slow",
            lambda t: t == "user.deleted",
            {"filters": [{"suffix": {"type": ".deleted"}}]},
        ),
        make(
            "north",
            "users",
            "not-deleted",
            lambda t: t != "user.deleted",
            {"filters": [{"not": {"exact": {"type": "user.deleted"}}}]},
        ),
        make(
            "north",
            "orders",
            "in-order",
            lambda t: t.startswith("order."),
            {"filters": [{"prefix": {"type": "order."}}], "ordering": "key"},
        ),
        make(
            "north",
            "orders",
            "hostile",
            lambda t: t == "user.created",
            {"eventType": "user.created"},
        ),
        make("south", "orders", "everything", lambda t: True, {"filters": []}),
    ]


def rejects(event_id: str) -> bool:
    """A quarter of the events, always the same: if half were rejected, the circuit would hold the
    rest, as it should."""
    return hashlib.sha256(event_id.encode()).digest()[0] < 64


# Ways of an endpoint that is broken or means harm, of which none may do any to others; and how often.
HOSTILE_WAYS, HOSTILE_WEIGHTS = zip(
    (Answer(hang=True), 1),
    (Answer(reset=True), 5),
    (Answer(200, body=b"x" * 1000, drip=True), 1),  # longer than the noise that a link may add
    (Answer(200, body=b"short", lie=1000), 5),
    (Answer(503, {"Content-Encoding": "gzip"}, gzip.compress(b"0" * 10_000_000)), 5),
)
REDIRECT = Answer(307, {"Location": "http://169.254.169.254/latest/"})  # a dead letter


class Hostile:
    """What it refuses for good it always refuses, and what it has taken it takes again: else a repeat
    whose first answer was lost would end in two ways, and that would be nobody's fault."""

    def __init__(self, dice: random.Random):
        self.dice = dice
        self.taken: set = set()

    def __call__(self, request) -> Answer:
        if hashlib.sha256(request["ce-id"].encode()).digest()[1] < 5:
            return REDIRECT
        if request.event_id in self.taken or self.dice.random() < 0.8:
            self.taken.add(request.event_id)
            return OK
        return self.dice.choices(HOSTILE_WAYS, HOSTILE_WEIGHTS)[0]


def behaviours(seed: int) -> dict[str, object]:
    """How endpoints answer, by the subscription's name; the others say 200 at once."""
    dice = random.Random(seed)
    busy = Answer(503)
    return {
        "flaky": lambda request: busy if dice.random() < 0.2 else OK,
        "rejecting": lambda request: Answer(400) if rejects(request.headers["ce-id"]) else OK,
        "slow": Answer(200, delay=0.25),
        "in-order": lambda request: busy if dice.random() < 0.02 else OK,
        "hostile": Hostile(dice),
    }


def set_up(
    admin: Client, receiver: Receiver, seed: int, through=lambda url: url
) -> tuple[list[Subscription], dict[str, Client]]:
    """Makes it all; returns the subscriptions and an admin for each organisation. through(url) is where
    an endpoint is called instead."""
    clients = {}
    for org in sorted({org for org, _ in SHARES}):
        admin.post("/v1/iam/organization", {"name": org}, expect=201)
        made = admin.in_org(org).post(
            "/v1/iam/keys", {"name": "chaos", "scopes": ["admin"]}, expect=201
        )
        clients[org] = admin.with_key(made.json()["key"])
    for org, topic in SHARES:
        clients[org].create_topic(topic, partitions=PARTITIONS)
    answers = behaviours(seed)
    made = subscriptions()
    for subscription in made:
        subscription.client = clients[subscription.org]
        subscription.endpoint = receiver.endpoint(answers.get(subscription.name, OK))
        subscribe(subscription, through(subscription.endpoint.url))
    return made, clients


def subscribe(subscription: Subscription, url: str) -> None:
    subscription.client.subscribe(
        subscription.name,
        subscription.topic,
        url,
        retry=RETRY,
        timeout=f"{TIMEOUT_MS}ms",
        **subscription.fields,
    )


def payload(event_id: str) -> bytes:
    """The data of an event, known from its id: what arrives can be compared byte by byte."""
    digest = hashlib.sha256(event_id.encode()).hexdigest()
    return json.dumps({"id": event_id, "fill": digest * 6}).encode()
