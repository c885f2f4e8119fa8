"""The lag board as somebody sees it who follows it, and who asks for it again and again."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from .wait import BOUND, STEP

VERDICT_TIME = 5.0  # seconds: promised, so DISPATCH_TEST_BOUND does not stretch it


def follow(client, seconds=30):
    """Yields (event, data) of the stream."""
    answer = client.session.get(
        client.base_url + "/v1/lag?follow=true",
        headers={"Authorization": f"Bearer {client.key}", "X-Dispatch-Org": client.org or ""},
        stream=True,
        timeout=seconds,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/event-stream"
    event = "message"
    for line in answer.iter_lines(decode_unicode=True):
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
            event = "message"


class FollowedBoard:
    """What the stream has told, in a thread of its own: `with FollowedBoard(org) as board`."""

    def __init__(self, client):
        self.rows: dict[str, dict] = {}
        self.stale: dict | None = None  # what the stream says of that, while it says so
        self._client = client.with_key(client.key, client.org)
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "FollowedBoard":
        self._thread.start()
        assert self._began.wait(BOUND), "the stream begins"
        return self

    def __exit__(self, *_):
        self._client.session.close()

    def _run(self):
        try:
            for event, told in follow(self._client, seconds=60):
                self._take(event, told)
                self._began.set()
        except requests.RequestException:
            pass  # closed by us

    def _take(self, event, told):
        if event == "stale":
            self.stale = told
        elif event == "lag":
            self.stale = None
            kept = {} if told["whole"] else dict(self.rows)
            kept.update({row["name"]: row for row in told["subscriptions"]})
            self.rows = {n: r for n, r in kept.items() if n not in told["subscriptionsRemoved"]}

    def times_until(self, probe, asked, what: str, bound: float) -> tuple[float, float]:
        """Seconds until probe(self) holds, by the stream, and until asked() holds, which asks for
        the lag. Both must before `bound`."""
        began = time.monotonic()

        def seconds_until(holds):
            passed = 0.0
            while passed <= bound:
                held = holds()
                passed = time.monotonic() - began
                if held and passed <= bound:
                    return passed
                time.sleep(STEP)
            return None

        with ThreadPoolExecutor(1) as asking:  # an answer may take its time
            answer = asking.submit(seconds_until, asked)
            streamed = seconds_until(lambda: probe(self))
            answered = answer.result()
        told = f"stream {streamed}, GET {answered}, rows {self.rows}, stale {self.stale}"
        assert None not in (streamed, answered), f"not within {bound:g} s: {what}: {told}"
        return streamed, answered
