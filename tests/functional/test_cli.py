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


@pytest.fixture
def fresh_topic(org, name):
    called = name("tail")
    org.create_topic(called)
    yield called
    org.delete(f"/v1/topics/{called}")


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


def test_attempts_over_pages(run, org, topic, hook):
    """More than one page of the server, which has 1,000 at most."""
    run("publish", topic, "--type", "cli.many", "--count", "1010", "--batch", "1000")
    org.settled(hook.subscription, matched=1010)

    def listed(*options):
        return of_json(run("attempts", hook.subscription, "-o", "json", *options))

    eventually(lambda: len(listed("--limit", "5000")) == 1010, "all are on record")
    places = {(a["partition"], a["offset"]) for a in listed("--limit", "5000")}
    assert len(places) == 1010
    assert len(listed("--limit", "1005")) == 1005
    assert listed("--outcome", "retry") == []
    shown = run("attempts", hook.subscription, "--limit", "2").stdout.splitlines()
    assert len(shown) == 3 and "delivered" in shown[1], shown
    assert "no-such" in run("attempts", "no-such", code=1).stderr


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


def test_trace_by_id(run, org, topic, hook):
    run("publish", topic, "--type", "cli.made", "--id", "cli-trace", "--data", "1")
    org.settled(hook.subscription, matched=1)
    shown = eventually(
        lambda: ok(run("trace", "cli-trace", "--topic", topic).stdout, "DELIVERED"), "it is traced"
    )
    assert hook.subscription in shown and " 200 " in shown and " ms " in shown
    assert "no event" in run("trace", "no-such-id", "--topic", topic, code=1).stderr


def ok(text: str, part: str) -> str:
    assert part in text
    return text


def test_tail_follows_filters_and_ends(run, org, fresh_topic):
    ids = [org.publish(fresh_topic, type=f"t{n}", data={"n": n})["id"] for n in range(4)]
    words = ("tail", fresh_topic, "--from", "earliest")
    shown = run(*words, "--limit", "2", "--filter", "type IN ('t1', 't3')", "-o", "json").stdout
    assert [json.loads(line)["event"]["id"] for line in shown.splitlines()] == [ids[1], ids[3]]
    (first,) = run(*words, "-n", "1").stdout.splitlines()
    assert f"{fresh_topic}/0@0  t0  id={ids[0]}" in first and '{"n":0}' in first
    assert "no-such" in run("tail", "no-such", code=1).stderr


@pytest.mark.disruptive
def test_tail_goes_on_when_the_gateway_comes_back(healthy, stack, run, org, fresh_topic, tmp_path):
    environment = {"DISPATCH_HOST": stack.api_url, "DISPATCH_TOKEN": org.key}
    seen = tmp_path / "seen"
    with open(seen, "wb") as out:
        tail = subprocess.Popen(
            [BINARY, "tail", fresh_topic, "--from", "earliest", "-n", "4", "-o", "json"],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        ids = [org.publish(fresh_topic)["id"] for _ in range(2)]
        eventually(lambda: ok(seen.read_text(), ids[1]), "two are shown")
        stack.restart("api-gateway")
        stack.await_ready()
        ids += [org.publish(fresh_topic)["id"] for _ in range(2)]
        _, said = tail.communicate(timeout=60)
    finally:
        tail.kill()
    assert tail.returncode == 0, said
    shown = [json.loads(line)["event"]["id"] for line in seen.read_text().splitlines()]
    assert shown == ids and "going on in" in said


def test_apply_is_idempotent(run, name, receiver, tmp_path):
    topic, called = name("applied"), name("applied")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1-sub.yaml").write_text(
        f"kind: Subscription\nname: {called}\ntopic: {topic}\nfilters: []\n"
        f"sink:\n  url: {receiver.endpoint().url}\n"
    )
    text = f"kind: Topic\nname: {topic}\npartitions: %d\n"
    (tmp_path / "d" / "2-topic.yaml").write_text(text % 1)
    assert run("apply", "-f", "d").stdout.count("Applied") == 2
    before = of_json(run("get", "subscription", called, "-o", "json"))["revision"]
    assert run("apply", "-f", "d").stdout.count("(unchanged)") == 2
    assert of_json(run("get", "subscription", called, "-o", "json"))["revision"] == before
    (tmp_path / "d" / "2-topic.yaml").write_text(text % 2)
    assert f"Applied Topic: {topic}\n" in run("apply", "-f", "d").stdout
    done = run("apply", "-f", "-", stdin=f"kind: Topic\nname: {topic}\npartitions: 0\n", code=1)
    assert f"standard input, document 1 (topic {topic}): partitions" in done.stderr
    assert run("apply", "-f", "-", stdin="kind: Thing\nname: x\n", code=2).stderr
    run("delete", "subscription", called)
    run("delete", "topic", topic)


def test_bash_completes(run, stack, org, topic, tmp_path):
    script = tmp_path / "completion"
    script.write_text(run("completion", "bash").stdout)
    typed = (
        f"source {script}; COMP_WORDS=({BINARY} tail {topic[:2]}); COMP_CWORD=2;"
        f"_dispatch_complete {BINARY} {topic[:2]} tail; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", typed],
        env={**os.environ, "DISPATCH_HOST": stack.api_url, "DISPATCH_TOKEN": org.key},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert topic in done.stdout.split(), done.stderr


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
