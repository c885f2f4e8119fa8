"""A small client of the REST API; it notes every answer, so that a test can compare all of them
with the OpenAPI document."""

import dataclasses
import json
import uuid

import requests

from .wait import eventually

TIMEOUT = 30.0
SUBSCRIPTIONS = "/v1/event/subscriptions"


@dataclasses.dataclass(frozen=True)
class Exchange:
    method: str
    path: str  # without query
    status: int
    content_type: str
    body: object  # parsed JSON, or None


class Client:
    """One key, optionally acting in another organisation. Not for several threads at once."""

    def __init__(
        self, base_url: str, key: str | None, org: str | None = None, seen: list | None = None
    ):
        self.base_url = base_url
        self.key = key
        self.org = org
        self.seen = seen if seen is not None else []
        self.session = requests.Session()
        self.session.trust_env = False

    def with_key(self, key: str | None, org: str | None = None) -> "Client":
        return Client(self.base_url, key, org, self.seen)

    def in_org(self, org: str) -> "Client":
        return Client(self.base_url, self.key, org, self.seen)

    def request(self, method: str, path: str, *, expect: int | tuple | None = None, **options):
        """path from /v1 on. options as of requests; `expect` is the status that must come."""
        headers = {}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        if self.org is not None:
            headers["X-Dispatch-Org"] = self.org
        headers.update(options.pop("headers", {}))
        answer = self.session.request(
            method,
            self.base_url + path,
            headers=headers,
            timeout=options.pop("timeout", TIMEOUT),
            **options,
        )
        self.note(method, path, answer)
        if expect is not None:
            allowed = expect if isinstance(expect, tuple) else (expect,)
            assert answer.status_code in allowed, (
                f"{method} {path}: {answer.status_code}, expected {expect}: {answer.text[:600]}"
            )
        return answer

    def note(self, method: str, path: str, answer: requests.Response) -> None:
        body = None
        content_type = answer.headers.get("Content-Type", "")
        if content_type.startswith("application/json") and answer.content:
            try:
                body = answer.json()
            except json.JSONDecodeError:
                body = "not JSON"
        self.seen.append(
            Exchange(method, path.partition("?")[0], answer.status_code, content_type, body)
        )

    def get(self, path: str, **options):
        return self.request("GET", path, **options)

    def post(self, path: str, body=None, **options):
        return self.request("POST", path, **({"json": body} if body is not None else {}), **options)

    def put(self, path: str, body=None, **options):
        return self.request("PUT", path, **({"json": body} if body is not None else {}), **options)

    def delete(self, path: str, **options):
        return self.request("DELETE", path, **options)

    # ---- objects

    def create_topic(self, name: str, partitions: int = 1, **fields) -> dict:
        body = {"name": name, "partitions": partitions, **fields}
        return self.post("/v1/topics", body, expect=201).json()

    def subscribe(self, name: str, topic: str, url: str | None = None, **fields) -> dict:
        """Every event of the topic, unless eventType or filters say otherwise."""
        body = {"name": name, "topic": topic, **fields}
        if url is not None:
            body["sink"] = {"url": url}
        if "eventType" not in fields and "filters" not in fields:
            body["filters"] = []
        return self.post(SUBSCRIPTIONS, body, expect=201).json()

    def subscription(self, name: str) -> dict:
        return self.get(f"{SUBSCRIPTIONS}/{name}", expect=200).json()

    def statistics(self, name: str) -> dict:
        """Of one subscription."""
        lag = self.get("/v1/lag", expect=200).json()
        found = [s for s in lag["subscriptions"] if s["name"] == name]
        assert found, f"/v1/lag does not know subscription {name}"
        return found[0]

    def settled(self, name: str, matched: int, bound: float | None = None) -> dict:
        """Waits until nothing is pending or unread and so many events matched."""

        def probe():
            s = self.statistics(name)
            assert s["matched"] == matched and total_pending(s) == 0 and s["unread"] == 0, s
            return s

        return eventually(probe, f"subscription {name} is settled with {matched} matched", bound)

    # ---- events

    def publish(self, topic: str, type: str = "test.event", data=None, **attributes) -> dict:
        """One event in binary mode; its id unless given is fresh. Returns id and position."""
        headers = {
            "ce-specversion": "1.0",
            "ce-id": attributes.pop("id", None) or str(uuid.uuid4()),
            "ce-source": attributes.pop("source", "/tests"),
            "ce-type": type,
        }
        headers.update({f"ce-{name}": value for name, value in attributes.items()})
        options = {}
        if data is not None:
            headers["Content-Type"] = "application/json"
            options["data"] = data if isinstance(data, bytes) else json.dumps(data).encode()
        answer = self.request(
            "POST", f"/v1/topics/{topic}/events", headers=headers, expect=202, **options
        )
        return answer.json()["results"][0]

    def publish_batch(self, topic: str, events: list[dict]) -> list[dict]:
        answer = self.request(
            "POST",
            f"/v1/topics/{topic}/events",
            headers={"Content-Type": "application/cloudevents-batch+json"},
            data=json.dumps(events).encode(),
            expect=202,
        )
        return answer.json()["results"]

    def deliveries_of(self, position: dict) -> list[dict]:
        """Where is my event; `position` as publish gave it."""
        path = "/v1/topics/{topic}/events/{partition}/{offset}/deliveries".format(**position)
        return self.get(path, expect=200).json()["deliveries"]


def event(type: str = "test.event", id: str | None = None, data=None, **attributes) -> dict:
    """An event in JSON form."""
    made = {
        "specversion": "1.0",
        "id": id or str(uuid.uuid4()),
        "source": "/tests",
        "type": type,
        **attributes,
    }
    if data is not None:
        made["data"] = data
    return made


def total_pending(statistics: dict) -> int:
    pending = statistics["pending"]
    return sum(pending.values()) if isinstance(pending, dict) else pending


def adds_up(statistics: dict) -> bool:
    """Conservation, DESIGN.md section 5."""
    ends = statistics["delivered"] + statistics["deadLettered"] + statistics["cancelled"]
    return statistics["matched"] == ends + total_pending(statistics)
