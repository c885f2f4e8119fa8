"""The command `dispatch` as a user of functions has it: VMware's verbs, against the running stack."""

import base64
import json
import re

import pytest
import requests
from lib.wait import eventually
from test_cli import BINARY, of_json, run  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")

PYTHON = """
import sys
def handle(ctx, payload):
    print("greeting", payload)
    print("careful", file=sys.stderr)
    if payload == "":
        raise ValueError("nothing to greet")
    return {"hello": payload, "password": ctx["secrets"].get("password")}
"""


@pytest.fixture
def hello(run, name, tmp_path):  # noqa: F811
    """A function with its image, made by the command."""
    base, image, function = name("base"), name("image"), name("hello")
    (tmp_path / "hello.py").write_text(PYTHON)
    url = "dispatchframework/python3-base:0.0.13"
    done = run("create", "base-image", base, url, "--language", "python3")
    assert done.stdout == f"Created base image: {base}\n"
    assert run("create", "image", image, base).stdout == f"Created image: {image}\n"
    done = run("create", "function", function, "hello.py", "--image", image)
    assert done.stdout == f"Created function: {function}\n"
    eventually(lambda: " READY " in run("get", "function", function).stdout, "it is READY", 40)
    return function


def execute(run, function, payload, **options):  # noqa: F811
    return of_json(run("exec", function, "--wait", "--input", json.dumps(payload), **options))


def test_exec_and_its_runs_and_logs(run, hello):  # noqa: F811
    done = execute(run, hello, "Jon")
    assert done["status"] == "READY" and done["output"]["hello"] == "Jon"
    piped = of_json(run("exec", hello, "--wait", stdin='"Ann"'))
    assert piped["output"]["hello"] == "Ann"
    failed = execute(run, hello, "")
    assert failed["error"]["type"] == "InputError"
    assert "nothing to greet" in run("exec", hello, "--wait", "--fail", stdin='""', code=1).stderr
    taken = of_json(run("exec", hello, stdin='"Eve"'))
    assert taken["status"] == "INITIALIZED"
    log = run("log", "run", taken["name"], "-f")
    assert log.stdout == "greeting Eve\n" and log.stderr == "careful\n"
    table = run("get", "runs", hello).stdout.splitlines()
    assert table[0].split() == ["ID", "FUNCTION", "STATUS", "STARTED", "FINISHED"]
    assert len(table) == 6 and re.search(r"T\d\d:\d\d:\d\d\.\d{3}Z", table[1])
    assert of_json(run("get", "run", hello, "--last", "-o", "json"))["name"] == taken["name"]
    assert of_json(run("get", "run", hello, done["name"], "-o", "json")) == {**done}
    assert [r["status"] for r in of_json(run("get", "runs", hello, "--status", "ERROR", "-o", "json"))] == ["ERROR"] * 2  # fmt: skip
    told = run("log", hello, "--last", "2")
    assert told.stdout.startswith("==> ") and told.stdout.endswith("greeting Eve\n")
    assert "is not READY" in run("exec", "nobody", code=1, stdin="").stderr


def test_exec_of_the_knative_line(run, hello, org):  # noqa: F811
    done = run("exec", hello, "-c", "text/plain", stdin="plain words")
    assert json.loads(done.stdout) == {
        "context": {"logs": {"stdout": ["greeting plain words"], "stderr": ["careful"]}},
        "payload": {"hello": "plain words", "password": None},
    }
    body = {"blocking": True, "inputBytes": base64.b64encode(b"{").decode()}
    assert org.post(f"/v1/runs?functionName={hello}", body).status_code == 422
    body["inputBytes"] = base64.b64encode(b'"Kim"').decode()
    shown = org.post(f"/v1/runs?functionName={hello}", body, expect=200).json()
    assert json.loads(base64.b64decode(shown["outputBytes"]))["payload"]["hello"] == "Kim"
    assert shown["finishedTime"] < 10**10


def test_a_secret_an_endpoint_and_an_event(run, hello, name, tmp_path, stack):  # noqa: F811
    secret, api, sub = name("secret"), name("api"), name("sub")
    (tmp_path / "secret.json").write_text('{"password": "xyzzy"}')
    assert run("create", "secret", secret, "secret.json").stdout == f"Created secret: {secret}\n"
    done = run("exec", hello, "--wait", "--secret", secret, stdin='"Jon"')
    ended = of_json(done)
    assert ended["status"] == "READY" and ended["output"]["password"] == "xyzzy", ended
    shown = run("get", "secret", secret).stdout
    assert "password: <hidden>" in shown and "xyzzy" not in shown

    done = run("create", "api", api, hello, "--path", f"/{api}", "-m", "GET", "-m", "POST")
    assert done.stdout == f"Created api: {api}\n"
    row = eventually(lambda: " READY " in (t := run("get", "api", api).stdout) and t, "it is READY")
    header, line = row.splitlines()
    assert header.split() == "NAME FUNCTION PROTOCOL METHOD DOMAIN PATH AUTH STATUS ENABLED".split()
    path = line.split()[5]
    url = stack.env["DISPATCH_ENDPOINTS_URL"] + path[path.index("/", 8) :]
    eventually(lambda: requests.post(url, json="Lee", timeout=30).status_code == 200, url)
    assert requests.post(url, json="Lee", timeout=30).json()["hello"] == "Lee"
    run("update", "api", api, "--disable")
    eventually(lambda: requests.post(url, json="Lee", timeout=30).status_code == 404, "it is off")

    done = run("create", "subscription", hello, "--name", sub, "--event-type", "user.created")
    assert done.stdout == f"created subscription: {sub}\n"
    # The boundary of a new subscription is where it stands READY.
    eventually(lambda: " READY " in run("get", "sub", sub).stdout, "it is READY", 30)
    assert run("emit", "user.created", "--data", '"Eve"').stdout == "event emitted\n"

    def of_the_event():
        runs = of_json(run("get", "runs", hello, "-o", "json"))
        return next((r for r in runs if (r.get("event") or {}).get("eventType")), None)

    assert eventually(of_the_event, "the event's run", 30)["output"]["hello"] == "Eve"
    assert run("delete", "subscription", sub).stdout == f"Deleted subscription: {sub}\n"
    assert run("delete", "api", api).stdout == f"Deleted api: {api}\n"


def test_edit_and_rollback(run, hello, tmp_path, stack, org):  # noqa: F811
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nexec sed -i "$CHANGE" "$1"\n')
    editor.chmod(0o755)

    def edit(change, code=0):
        environment = {"DISPATCH_HOST": stack.api_url, "DISPATCH_TOKEN": org.key,
                       "EDITOR": str(editor), "CHANGE": change, "TMPDIR": str(tmp_path)}  # fmt: skip
        return run("edit", "function", hello, environment=environment, code=code)

    assert "nothing was changed" in edit("s/x/x/").stderr
    assert edit("s/^timeout:.*/timeout: 3000/").stdout == f"Updated function: {hello}\n"
    shown = lambda: of_json(run("get", "function", hello, "-o", "json"))  # noqa: E731
    eventually(lambda: shown()["timeout"] == 3000, "the changed one serves")
    refused = edit("s/^timeout:.*/timeout: many/", code=1).stderr
    assert "timeout" in refused and "what you wrote is in" in refused
    kept = re.search(r"is in (\S+):", refused)[1]
    assert "timeout: many" in (tmp_path / kept).read_text()

    (tmp_path / "hello.py").write_text(PYTHON.replace('"hello": payload', '"hello": 2'))
    run("update", "function", hello, "hello.py")
    eventually(lambda: execute(run, hello, "x")["output"]["hello"] == 2, "the second serves", 30)
    assert "Rolling back" in run("rollback", hello).stdout
    eventually(lambda: execute(run, hello, "x")["output"]["hello"] == "x", "the first serves", 30)


def test_cancel_and_rerun(run, hello):  # noqa: F811
    taken = of_json(run("exec", hello, "--wait", stdin='"Jon"'))
    assert "ended before" in run("cancel", taken["name"], code=1).stderr
    again = run("rerun", taken["name"]).stdout.split()[-1]
    assert run("log", again, "-f").stdout == "greeting Jon\n"
