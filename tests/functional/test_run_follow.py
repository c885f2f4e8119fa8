"""Following runs: server-sent events of what begins and ends."""

import json
import socket
import subprocess
import threading

import pytest
from lib.wait import eventually
from test_cli import BINARY
from test_runs import RUNS, function, run  # noqa: F401 (a fixture)


class Stream:
    """The events of a path as they come, until it is closed."""

    def __init__(self, client, path, **headers):
        self.answer = client.get(path, headers=headers, stream=True, timeout=60)
        assert self.answer.status_code == 200, self.answer.text
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        self.events, self.last_id = [], None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        data = None
        try:
            for line in self.answer.iter_lines(decode_unicode=True):
                if line.startswith("id: "):
                    self.last_id = line[4:]
                elif line.startswith("data: "):
                    data = json.loads(line[6:])
                elif not line and data is not None:
                    self.events.append(data)
                    data = None
        except Exception:  # closed under it
            pass

    def close(self):
        # close() of the answer would wait for whoever reads it.
        self.answer.raw._connection.sock.shutdown(socket.SHUT_RDWR)

    def names(self, status):
        return [e["name"] for e in self.events if e.get("status") == status]


def test_a_stream_tells_of_runs_as_they_end(org, function):  # noqa: F811
    called, _ = function(lambda context, payload: payload)
    other, _ = function(lambda context, payload: payload)
    run(org, called, input="before")
    stream = Stream(org, f"{RUNS}?follow=true&functionName={called}")
    failing = Stream(org, f"{RUNS}?follow=true&functionName={called}&status=ERROR")
    eventually(lambda: stream.last_id and failing.last_id, "both are told where they stand")
    made = [run(org, called, input=n)["name"] for n in range(5)]
    taken = run(org, called, expect=202, blocking=False, input="x")["name"]
    run(org, other)
    bad = run(org, called, secrets=["none"])["name"]
    eventually(lambda: set(stream.names("READY")) == {*made, taken}, "all that went well")
    eventually(lambda: stream.names("ERROR") == [bad] == failing.names("ERROR"), "the failed one")
    assert len(stream.names("READY")) == 6  # each once
    item = stream.events[0]
    assert item["functionName"] == called and item["finishedTime"] > 10**18
    assert not {"input", "output", "logs", "secrets"} & item.keys()

    # Somebody who comes back misses nothing and is told nothing twice.
    stream.close()
    missed = run(org, called)["name"]
    again = Stream(org, f"{RUNS}?follow=true&functionName={called}", **{"Last-Event-ID": stream.last_id})
    eventually(lambda: missed in again.names("READY"), "what was missed")
    assert not {*made, bad} & {e["name"] for e in again.events}
    again.close()
    failing.close()
    refused = org.get(f"{RUNS}?follow=true", headers={"Last-Event-ID": "x"})
    assert refused.status_code == 400 and "Last-Event-ID" in refused.json()["message"]



def test_a_stream_tells_of_an_application(org, function):  # noqa: F811
    called, _ = function(lambda context, payload: payload)
    stream = Stream(org, f"{RUNS}?follow=true&tags=app=shop")
    run(org, called)
    mine = run(org, called, tags=[{"key": "Application", "value": "shop"}])["name"]
    eventually(lambda: mine in stream.names("READY"), "the shop's run")
    assert {e["name"] for e in stream.events} == {mine}
    stream.close()
    assert org.get(f"{RUNS}?follow=true&tags=shop").status_code == 400


@pytest.mark.disruptive
@pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")
def test_get_runs_follow_survives_a_gateway(stack, org, function, tmp_path):  # noqa: F811
    called, _ = function(lambda context, payload: payload)
    settings = {"DISPATCH_HOST": stack.api_url, "DISPATCH_TOKEN": org.key, "HOME": str(tmp_path)}
    shown = tmp_path / "shown"
    with shown.open("w") as out:
        following = subprocess.Popen(
            [BINARY, "get", "runs", called, "-f"], env=settings, stdout=out, stderr=subprocess.STDOUT
        )
    try:

        def told():
            run(org, called)
            return called in shown.read_text()

        eventually(told, "it follows", step=0.5)
        stack.restart("api-gateway")
        stack.await_ready()
        last = run(org, called)["name"]
        eventually(lambda: last in shown.read_text(), "it goes on", 30)
        lines = [line.split()[0] for line in shown.read_text().splitlines() if called in line]
        assert len(lines) == len(set(lines))  # each once
    finally:
        following.terminate()
        following.wait(10)
