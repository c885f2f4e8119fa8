"""Endpoints that speak HTTP/2: hypercorn, with prior knowledge (h2c). What TLS agrees on, and what
goes wrong on connections, is in common/http/http2_test.cc and tls_test.cc."""

import asyncio
import socket
import threading

import pytest
from lib.client import SUBSCRIPTIONS
from lib.wait import eventually

pytest.importorskip("hypercorn", reason="tests/requirements.txt has it")
from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402


class Server:
    """An ASGI application that notes what it gets and answers 204."""

    def __init__(self):
        self.requests: list[dict] = []
        self.loop = asyncio.new_event_loop()
        self.stop = asyncio.Event()
        self.config = Config()
        self.config.errorlog = None
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        # From now on it is hypercorn's, who closes it.
        self.config.bind = [f"fd://{listener.detach()}"]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(
            serve(self.app, self.config, shutdown_trigger=self.stop.wait, mode="asgi")
        )

    def close(self):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)

    async def app(self, scope, receive, send):
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append(
            {"version": scope["http_version"], "client": scope["client"], "body": body, **headers}
        )
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


def test_deliveries_share_a_connection_of_http2(org, topic, subscribe, server):
    url = f"http://127.0.0.1:{server.port}/hook"
    called = subscribe(sink={"url": url, "http": "2"})
    sent = [org.publish(topic, data={"n": n, "pad": "x" * 1000})["id"] for n in range(60)]
    org.settled(called, matched=60)
    assert sorted(r["ce-id"] for r in server.requests) == sorted(sent)
    assert {r["version"] for r in server.requests} == {"2"}
    assert len({r["client"] for r in server.requests}) == 1
    assert all(r["webhook-id"] and len(r["body"]) > 1000 for r in server.requests)


def test_without_tls_http11_is_the_default(org, topic, subscribe, server):
    called = subscribe(f"http://127.0.0.1:{server.port}/hook")
    org.publish(topic)
    org.settled(called, matched=1)
    eventually(lambda: [r["version"] for r in server.requests] == ["1.1"], "it came by 1.1")


def test_other_versions_are_refused(org, topic, name):
    sink = {"url": "http://127.0.0.1:1/", "http": "3"}
    body = {"name": name("x"), "topic": topic, "filters": [], "sink": sink}
    answer = org.post(SUBSCRIPTIONS, body, expect=422).json()
    assert answer["details"][0]["field"] == "sink.http"
