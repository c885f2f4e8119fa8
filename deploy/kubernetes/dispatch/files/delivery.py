"""`helm test`: publishes one event and sees it delivered, then removes what it made.

API_URL, API_KEY_FILE; RECEIVER_URL: an endpoint that answers 2xx, or empty: this pod, at POD_IP.
EXPECT: `delivered`, or `attempted` where this pod's address is refused to function-manager."""

import http.server
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

API = os.environ["API_URL"]
EXPECT = os.environ["EXPECT"]
SECONDS = 90
NAME = "helm-test-" + uuid.uuid4().hex[:8]
EVENT = str(uuid.uuid4())
ARRIVED = threading.Event()

with open(os.environ["API_KEY_FILE"], encoding="ascii") as file:
    KEY = file.read().strip()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("ce-id") == EVENT:
            ARRIVED.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def ask(method, path, body=None, **headers):
    """The status and the JSON of an answer; status 0 when there is none."""
    headers.update({"Authorization": "Bearer " + KEY, "Content-Type": "application/json"})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text, status = answer.read(), answer.status
    except urllib.error.HTTPError as error:
        text, status = error.read(), error.code
    except OSError as error:
        return 0, str(error)
    try:
        return status, json.loads(text or b"null")
    except ValueError:
        return status, text[:300]


def until(what, condition):
    """Waits for the condition, which says what is there meanwhile."""
    deadline, seen = time.monotonic() + SECONDS, None
    while time.monotonic() < deadline:
        done, seen = condition()
        if done:
            return seen
        time.sleep(0.5)
    sys.exit(f"FAILED: {what}: not within {SECONDS} s; the last that was seen: {seen}")


def must(method, path, body=None, **headers):
    def taken():
        status, answer = ask(method, path, body, **headers)
        if 400 <= status < 500 and status != 429:
            sys.exit(f"FAILED: {method} {path}: HTTP {status}: {answer}")
        return 200 <= status < 300, f"HTTP {status}: {answer}"

    until(f"{method} {path}", taken)


def settled():
    status, answer = ask("GET", f"/v1/subscriptions/{NAME}")
    statistics = answer.get("statistics", {}) if status == 200 else {}
    if EXPECT == "delivered":
        return statistics.get("delivered", 0) >= 1, statistics or answer
    # Refused for its address, and not for anything else.
    return "forbidden-address" in (statistics.get("lastFailure") or ""), statistics or answer


def main():
    url = os.environ["RECEIVER_URL"]
    if not url:
        host = os.environ["POD_IP"]
        server = http.server.ThreadingHTTPServer(("", int(os.environ.get("PORT", 8099))), Receiver)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{host}:{server.server_port}/"
    print(f"topic and subscription {NAME}, to {url}")
    must("POST", "/v1/topics", {"name": NAME, "partitions": 1})
    try:
        subscription = {"name": NAME, "topic": NAME, "filters": [], "sink": {"url": url}}
        must("POST", "/v1/subscriptions", subscription)
        event = {"ce-specversion": "1.0", "ce-type": "helm.test", "ce-source": "/helm-test"}
        must("POST", f"/v1/topics/{NAME}/events", {"hello": NAME}, **event, **{"ce-id": EVENT})
        print(f"published event {EVENT}")
        if EXPECT == "delivered" and not os.environ["RECEIVER_URL"]:
            until("the event's arrival here", lambda: (ARRIVED.is_set(), "nothing came"))
        print("statistics:", json.dumps(until(f"the event is {EXPECT}", settled)))
    finally:
        ask("DELETE", f"/v1/subscriptions/{NAME}")
        ask("DELETE", f"/v1/topics/{NAME}")
    if EXPECT == "delivered":
        print("PASSED: published, matched and delivered")
    else:
        print(
            "PASSED as far as it goes: published, matched and tried. NOT SEEN DELIVERED, because\n"
            "function-manager refuses private addresses, such as this pod's: set test.receiverUrl, or\n"
            "functionManager.settings.allow-private-sinks."
        )


main()
