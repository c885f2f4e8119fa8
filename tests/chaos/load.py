"""Publishes all the time: batches and single events over keep-alive connections.

An event is sent once. When no answer came its fate is unknown and it is not tried again under the
same id, so that every id is at most once in Kafka.
"""

import dataclasses
import itertools
import json
import random
import threading
import time

import requests
from scenario import SHARES, TYPES, payload

BATCH = 20
THREADS = 6
BATCHED = 0.75  # of the events; the others are sent one by one
PAUSE_AFTER_REFUSAL = 0.2
TIMEOUT = 15


@dataclasses.dataclass
class Totals:
    sent: int = 0
    refused: int = 0  # answered, with something else than 202
    unknown: int = 0  # no answer


class Load:
    def __init__(self, base_url: str, keys: dict[str, str], rate: float, seed: int):
        self.base_url = base_url
        self.keys = keys
        self.interval = BATCH * THREADS / rate
        self.seed = seed
        self.totals = Totals()
        self.statuses: dict[str, int] = {}
        # (org, topic) -> id -> (partition, offset), of all that were answered 202
        self.accepted: dict[tuple, dict[str, tuple]] = {place: {} for place in SHARES}
        self.first_accepted = self.last_accepted = 0.0
        self.accepted_at: dict[str, float] = {}  # id -> when its 202 was there
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._numbers = itertools.count(1)
        self._threads = [
            threading.Thread(target=self._publish, args=(i,), name=f"load-{i}", daemon=True)
            for i in range(THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT + 5)

    @property
    def accepted_count(self) -> int:
        return sum(len(ids) for ids in self.accepted.values())

    def accepted_since(self, place: tuple, when: float) -> dict[str, int]:
        """id -> partition."""
        with self._lock:
            return {
                event_id: partition
                for event_id, (partition, _) in self.accepted[place].items()
                if self.accepted_at[event_id] >= when
            }

    def _publish(self, number: int) -> None:
        dice = random.Random(self.seed * 1000 + number)
        session = requests.Session()
        session.trust_env = False
        due = time.monotonic() + self.interval * number / THREADS
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            # What an outage kept from being sent is not made up for.
            due = max(due + self.interval, time.monotonic() - 1)
            place = dice.choices(list(SHARES), SHARES.values())[0]
            try:
                self._send(session, dice, place)
            except (requests.RequestException, ValueError) as fault:  # or half an answer
                with self._lock:
                    kind = type(fault).__name__
                    self.statuses[kind] = self.statuses.get(kind, 0) + 1
                self._stop.wait(PAUSE_AFTER_REFUSAL)

    def _send(self, session: requests.Session, dice: random.Random, place: tuple) -> None:
        org, topic = place
        events = [self._event(dice, org) for _ in range(BATCH)]
        url = f"{self.base_url}/v1/topics/{topic}/events"
        key = {"Authorization": f"Bearer {self.keys[org]}"}
        with self._lock:
            self.totals.sent += len(events)
            self.totals.unknown += len(events)
        if dice.random() < BATCHED:
            requests_to_send = [self._batch(events)]
        else:
            requests_to_send = [self._single(event) for event in events]
        for headers, body, count in requests_to_send:
            answer = session.post(url, data=body, headers={**key, **headers}, timeout=TIMEOUT)
            self._note(place, answer, count)
            if answer.status_code != 202:
                self._stop.wait(PAUSE_AFTER_REFUSAL)

    def _event(self, dice: random.Random, org: str) -> dict:
        event_id = f"{org}-{next(self._numbers)}"
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "/chaos",
            "type": dice.choices(list(TYPES), TYPES.values())[0],
            "datacontenttype": "application/json",
        }
        if dice.random() < 0.5:
            event["partitionkey"] = f"key-{dice.randrange(200)}"
        return event

    @staticmethod
    def _batch(events: list[dict]) -> tuple[dict, bytes, int]:
        # The data as it is, not parsed and printed again.
        parts = [
            json.dumps(event).encode()[:-1] + b', "data": ' + payload(event["id"]) + b"}"
            for event in events
        ]
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        return headers, b"[" + b",".join(parts) + b"]", len(events)

    @staticmethod
    def _single(event: dict) -> tuple[dict, bytes, int]:
        headers = {
            f"ce-{name}": value for name, value in event.items() if name != "datacontenttype"
        }
        return {**headers, "Content-Type": event["datacontenttype"]}, payload(event["id"]), 1

    def _note(self, place: tuple, answer: requests.Response, count: int) -> None:
        results = answer.json().get("results", []) if answer.status_code in (202, 207) else []
        taken = {r["id"]: (r["partition"], r["offset"]) for r in results if "offset" in r}
        now = time.monotonic()
        with self._lock:
            status = str(answer.status_code)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self.accepted[place].update(taken)
            self.accepted_at.update(dict.fromkeys(taken, now))
            self.totals.unknown -= count
            self.totals.refused += count - len(taken)
            if taken:
                self.first_accepted = self.first_accepted or now
                self.last_accepted = now
