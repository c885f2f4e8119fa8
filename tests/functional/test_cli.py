"""The command `dispatch` against the running stack: one test for each way through it."""

import json
import os
import subprocess

import pytest
from conftest import settled_ids
from lib.receiver import Answer
from lib.stack import ROOT
from lib.wait import eventually

BINARY = ROOT / "build" / os.environ.get("DISPATCH_PRESET", "release") / "bin" / "dispatch"

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")


@pytest.fixture
def run(stack, org, tmp_path):
    """run("get", "topics") -> the finished process; code is what it must end with."""

    def run(*words: str, code: int = 0, stdin: str | None = None, environment: dict | None = None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")}
        settings = (
            {"DISPATCH_HOST": stack.api_url, "DISPATCH_TOKEN": org.key}
            if environment is None
            else environment
        )
        done = subprocess.run(
            [BINARY, *words],
            env={**clean, "HOME": str(tmp_path), **settings},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            cwd=tmp_path,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def of_json(done):
    return json.loads(done.stdout)


def test_topic_life(run, name):
    called = name("cli")
    run("create", "topic", called, "--partitions", "2", "--tag", "team=a")
    assert of_json(run("get", "topic", called, "-o", "json"))["partitions"] == 2
    assert called in run("get", "topics").stdout
    assert called in run("get", "topics", "--tag", "team=a").stdout
    run("update", "topic", called, "--partitions", "3")
    assert of_json(run("get", "topic", called, "-o", "json"))["partitions"] == 3
    run("delete", "topic", called)
    done = run("get", "topic", called, code=1)
    assert called in done.stderr and not done.stdout


def test_publish_subscribe_and_trace(run, org, topic, receiver, name):
    hook = receiver.endpoint()
    called = name("cli")
    run(
        "create",
        "subscription",
        called,
        "--topic",
        topic,
        "--event-type",
        "cli.made",
        "--sink-url",
        hook.url,
    )
    done = run("publish", topic, "--type", "cli.made", "--id", "cli-1", "--data", '{"a": 1}')
    eventually(lambda: hook.event_ids == ["cli-1"], "it is delivered")
    assert json.loads(hook.requests[0].body) == {"a": 1}
    org.settled(called, matched=1)
    (place,) = [
        w for w in done.stdout.replace(",", " ").split() if w.startswith(f"{topic}/") and "@" in w
    ]
    assert called in run("trace", place).stdout
    assert called in run("lag").stdout
    run("pause", called)
    assert of_json(run("get", "subscription", called, "-o", "json"))["paused"] is True
    run("resume", called)
    run("delete", "subscription", called)


def test_publish_lines_of_standard_input(run, org, topic, hook):
    lines = "".join(json.dumps({"n": n}) + "\n" for n in range(25))
    run("publish", topic, "--type", "cli.line", "--batch", "10", stdin=lines)
    org.settled(hook.subscription, matched=25)
    assert sorted(json.loads(r.body)["n"] for r in hook.requests) == list(range(25))


def test_dead_letters(run, org, topic, receiver, subscribe):
    endpoint = receiver.endpoint(Answer(400))
    called = subscribe(endpoint.url)
    org.publish(topic, id="bad-1")
    org.settled(called, matched=1)
    (letter,) = eventually(
        lambda: of_json(run("dead-letters", called, "-o", "json")), "it is listed"
    )
    assert letter["eventId"] == "bad-1"
    assert "bad-1" in run("dead-letters", "get", called, letter["id"], "-o", "yaml").stdout
    assert run("dead-letters", called, "--reason", "gone", "-o", "json").stdout.strip() == "[]"
    again = run("dead-letters", "redrive", called, "--all", "--wait").stdout
    assert "DONE, 1 of 1 moved" in again
    eventually(lambda: len(endpoint) == 2, "it was tried again")
    eventually(
        lambda: of_json(run("dead-letters", called, "-o", "json")), "it is a dead letter again"
    )
    assert of_json(run("dead-letters", "redrives", called, "-o", "json"))[0]["moved"] == 1
    assert "Purged dead letters: 1" in run("dead-letters", "purge", called, "--all").stdout
    assert of_json(run("dead-letters", "list", called, "-o", "json")) == []


def test_objects_from_a_file(run, topic, name, receiver, tmp_path):
    called, hook = name("file"), receiver.endpoint()
    file = tmp_path / "objects.yaml"
    file.write_text(
        f"kind: Subscription\nname: {called}\ntopic: {topic}\n"
        f"filters: []\nsink:\n  url: {hook.url}\n"
    )
    run("create", "-f", str(file))
    run("publish", topic, "--type", "a", "--id", "1", "--data", "x")
    eventually(lambda: settled_ids(hook) == ["1"], "it is delivered")
    run("delete", "subscription", called)


def test_key_is_printed_once(run, name):
    called = name("cli")
    made = of_json(run("create", "key", called, "--scope", "read", "-o", "json"))
    assert made["key"].startswith("dsp_")
    assert made["key"] not in run("get", "keys", "-o", "json").stdout
    run("delete", "key", called)


def test_context_is_kept(run, stack, org):
    run(
        "context",
        "set",
        "here",
        "--host",
        stack.api_url,
        "--token",
        org.key,
        "--use",
        environment={},
    )
    assert "here" in run("context", "list", environment={}).stdout
    run("get", "topics", environment={})


def test_version(run):
    client, server = run("version").stdout.splitlines()
    assert client.removeprefix("Client: ") == server.removeprefix("Server: ")
    assert run("--version").stdout == f"dispatch {client.removeprefix('Client: ')}\n"


def test_error_goes_to_stderr_with_code_1(run):
    done = run("get", "topic", "no-such-topic", code=1)
    assert "no-such-topic" in done.stderr and done.stdout == ""


def test_wrong_command_line_is_code_2(run):
    assert run("create", "nonsense", "x", code=2).stderr
    assert run("fly", code=2).stderr


def test_wrong_key_tells_what_to_do(run, stack):
    environment = {"DISPATCH_HOST": stack.api_url, "DISPATCH_TOKEN": "dsp_nonsense"}
    assert "key" in run("get", "topics", code=1, environment=environment).stderr


def test_unreachable_server_is_an_error(run):
    environment = {"DISPATCH_HOST": "http://127.0.0.1:1", "DISPATCH_TOKEN": "dsp_x"}
    assert "127.0.0.1:1" in run("get", "topics", code=1, environment=environment).stderr
