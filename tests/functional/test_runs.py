"""Runs of functions: asked for, kept, and what becomes of them when something fails.

The functions are of runtime `http`: what is behind the runner's interface is tested where it is."""

import json
import time
import uuid

import pytest
from lib.http_function import answer_of, make_function
from lib.receiver import Answer
from lib.wait import eventually

RUNS = "/v1/runs"


@pytest.fixture
def function(org, receiver, name):
    def make(handle, **fields):
        called = name("fn")
        return called, make_function(org, receiver, called, handle, **fields)

    return make


def run(org, called: str, expect=200, headers=None, **body) -> dict:
    body = {"blocking": True, "reason": None, "secrets": [], "services": None, "tags": None, **body}
    answer = org.post(f"{RUNS}?functionName={called}", body, expect=expect, headers=headers or {})
    return answer.json()


def ended(org, id_: str) -> dict:
    def probe():
        found = org.get(f"{RUNS}/{id_}", expect=200).json()
        return found if found["finishedTime"] else None

    return eventually(probe, f"run {id_} ends")


def test_a_blocking_run_answers_what_came_of_it(org, function):
    called, endpoint = function(
        lambda context, payload: answer_of({"hello": payload["name"]}, stdout=["said it"])
    )
    before = time.time_ns()
    done = run(org, called, input={"name": "Jon"})
    assert done["status"] == "READY" and done["output"] == {"hello": "Jon"}
    assert done["logs"] == {"stdout": ["said it"], "stderr": None}
    assert done["functionName"] == called and done["reason"] is None
    assert before - 1_000_000_000 < done["executedTime"] <= done["finishedTime"] < time.time_ns()
    asked = json.loads(endpoint.requests[0].body)
    assert asked["context"].pop("deadline")  # of what somebody waits for
    assert asked == {"context": {"secrets": {}}, "payload": {"name": "Jon"}}
    assert org.get(f"{RUNS}/{done['name']}", expect=200).json() == done
    assert org.get(f"{RUNS}/{done['name']}?functionName=other").status_code == 404


def test_a_failed_run_answers_200_unless_the_caller_prefers_its_status(org, function):
    failure = {"type": "InputError", "message": "no name", "stacktrace": ["line 1"]}
    called, _ = function(lambda context, payload: answer_of(error=failure))
    done = run(org, called, input={})
    assert done["status"] == "ERROR" and done["error"] == failure
    assert done["reason"] == [f"error running function: {called}: no name"]
    prefer = {"Prefer": "run-status"}
    assert run(org, called, expect=422, headers=prefer)["error"] == failure
    broken, _ = function(lambda context, payload: answer_of(error={**failure, "type": "KeyError"}))
    assert run(org, broken, expect=502, headers=prefer)["error"]["type"] == "FunctionError"
    late, _ = function(lambda context, payload: Answer(hang=True), timeout="1s")
    done = run(org, late, expect=504, headers=prefer)
    assert done["error"]["message"] == "Function execution exceeded the timeout"


def test_a_function_that_is_not_ready_is_404(org, name):
    answer = org.post(f"{RUNS}?functionName={name('none')}", {"blocking": True})
    assert answer.status_code == 404 and "is not READY" in answer.json()["message"]
    assert org.post(RUNS, {}).status_code == 400
    assert org.get(f"{RUNS}/{uuid.uuid4()}").status_code == 404
    assert org.get(f"{RUNS}/x").status_code == 404


def test_a_run_that_nobody_waits_for_ends_by_itself(org, function):
    called, endpoint = function(lambda context, payload: payload)
    taken = run(org, called, expect=202, blocking=False, input=[1, 2])
    assert taken["status"] == "INITIALIZED" and taken["finishedTime"] == 0
    assert ended(org, taken["name"])["output"] == [1, 2]
    assert "deadline" not in json.loads(endpoint.requests[0].body)["context"]


def test_what_is_ours_to_mend_is_tried_again_under_the_same_id(org, function):
    called, endpoint = function(lambda context, payload: "at last")
    endpoint.script(Answer(503), Answer(503))
    taken = run(org, called, expect=202, blocking=False)
    assert ended(org, taken["name"])["output"] == "at last"
    assert len(endpoint) == 3


def test_secrets_reach_the_function_and_no_row(org, function, name):
    secret = name("secret")
    org.post("/v1/secret", {"name": secret, "secrets": {"password": "hidden-9"}}, expect=201)
    called, endpoint = function(lambda context, payload: context["secrets"]["password"][::-1])
    done = run(org, called, secrets=[secret])
    assert done["output"] == "9-neddih" and done["secrets"] == [secret]
    assert "hidden-9" not in json.dumps(done)
    unknown = run(org, called, secrets=["none"])
    assert unknown["error"]["type"] == "InputError" and "'none'" in unknown["error"]["message"]
    assert len(endpoint) == 1


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_what_is_nested_deep_spoils_no_list(org, function):
    called, _ = function(lambda context, payload: answer_of(nested(120)))
    for blocking in (True, False):
        done = run(org, called, expect=200 if blocking else 202, blocking=blocking, input=nested(31))
        done = ended(org, done["name"])
        assert (done["input"], done["output"]) == (nested(31), nested(120))
    assert len(org.get(f"{RUNS}?functionName={called}", expect=200).json()) == 2
    run(org, called, expect=400, input=nested(32))  # the body is one deeper
    deeper, _ = function(lambda context, payload: answer_of(nested(128)))
    done = run(org, deeper, input={})
    assert done["status"] == "ERROR" and "too deep" in done["error"]["message"]


def test_a_run_is_asked_for_once_with_a_key(org, function, name):
    called, endpoint = function(lambda context, payload: answer_of(payload))
    asked = {"expect": 202, "headers": {"Idempotency-Key": name("key")}, "blocking": False}
    first = run(org, called, input=1, **asked)
    ended(org, first["name"])
    assert run(org, called, input=1, **asked)["name"] == first["name"]
    assert len(endpoint.requests) == 1
    refused = run(org, called, input=2, **{**asked, "expect": 422})
    assert "was used for another request" in refused["message"]
    key = {"Idempotency-Key": name("key")}
    refused = run(org, called, input=1, expect=400, headers=key)
    assert refused["message"].startswith("Idempotency-Key: only for a run that nobody waits for")
    path = f"{RUNS}/{first['name']}/rerun"
    again = [org.post(path, headers=key, expect=202).json()["name"] for _ in range(2)]
    assert again[0] == again[1] != first["name"]


def test_runs_are_listed_in_pages_the_newest_first(org, function):
    called, _ = function(lambda context, payload: payload)
    made = [run(org, called, input=n)["name"] for n in range(5)]
    listed = org.get(f"{RUNS}?functionName={called}&since=-62135596800", expect=200).json()
    assert [r["name"] for r in listed] == made[::-1]
    first = org.get(f"{RUNS}?functionName={called}&limit=3", expect=200)
    rest = org.get(first.links["next"]["url"], expect=200)
    assert [r["name"] for r in first.json() + rest.json()] == made[::-1]
    assert "next" not in rest.links
    future = int(time.time()) + 60
    assert org.get(f"{RUNS}?functionName={called}&since={future}", expect=200).json() == []
    assert org.get(f"{RUNS}?functionName=none", expect=200).json() == []
    assert org.get(f"{RUNS}?cursor=x").status_code == 400


def test_a_run_is_cancelled_or_run_again(org, function):
    called, endpoint = function(lambda context, payload: payload)
    endpoint.script(Answer(hang=True))
    taken = run(org, called, expect=202, blocking=False, input="x")
    eventually(lambda: len(endpoint) == 1, "it runs")
    done = org.post(f"{RUNS}/{taken['name']}/cancel", expect=200).json()
    assert done["status"] == "ERROR" and done["error"]["message"] == "the run was cancelled"
    assert org.post(f"{RUNS}/{taken['name']}/cancel").status_code == 409
    again = org.post(f"{RUNS}/{taken['name']}/rerun", expect=202).json()
    assert again["name"] != taken["name"]
    assert ended(org, again["name"])["output"] == "x"


def test_runs_of_a_deleted_function_go_with_it(org, function):
    called, _ = function(lambda context, payload: payload)
    run(org, called)
    org.delete(f"/v1/function/{called}", expect=200)
    eventually(
        lambda: org.get(f"{RUNS}?functionName={called}", expect=200).json() == [], "they are gone"
    )


def test_emit_answers_with_what_was_sent(fresh_org, receiver):
    fresh_org.post("/v1/topics", {"name": "default"})
    hook = receiver.endpoint()
    fresh_org.subscribe("all", "default", hook.url)
    event = {"cloudEventsVersion": "0.1", "eventType": "t", "source": "dispatch", "eventID": "e-1",
             "contentType": "application/json", "data": {"a": 1}}  # fmt: skip
    for path in ("/v1/event", "/v1/event/"):
        assert fresh_org.post(path, event, expect=200).json() == event
    eventually(lambda: hook.event_ids == ["e-1", "e-1"], "both are delivered")
    assert fresh_org.post("/v1/event", {**event, "cloudEventsVersion": "0.9"}).status_code == 400
    assert fresh_org.post("/v1/event?topic=none", event).status_code == 404


@pytest.mark.disruptive
def test_a_run_survives_the_death_of_who_runs_it(stack, org, function):
    called, endpoint = function(lambda context, payload: "again")
    endpoint.script(Answer(hang=True))
    taken = run(org, called, expect=202, blocking=False)
    eventually(lambda: len(endpoint) == 1, "it runs")
    stack.kill("function-manager")
    stack.restart("function-manager")
    stack.await_ready()
    # Its lease of 30 s must end first.
    found = eventually(
        lambda: (r := org.get(f"{RUNS}/{taken['name']}").json())["finishedTime"] and r,
        "another takes it over",
        60,
    )
    assert found["output"] == "again" and len(endpoint) == 2
