"""Functions behind HTTP requests: the second server of api-gateway (vmware-wire sections 6, 12)."""

import threading
from urllib.parse import urlsplit

from lib.http_function import answer_of
from lib.receiver import Answer
from lib.wait import eventually

API = "/v1/api"


def test_the_query_of_a_get_is_the_input(org, expose, echo, call, name):
    path = expose(echo, f"/{name('get')}", methods=["GET"])
    assert path.startswith(f"/{org.org_name}/")
    answer = call("GET", path + "?a=1&b=x%20y&a=2", headers={"X-Own": "mine"})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    payload, context = answer.json()
    assert payload == {"a": ["1", "2"], "b": "x y"}
    assert context["method"] == "GET" and context["uri"] == path and context["x-own"] == "mine"
    assert context["server_protocol"] == context["server-protocol"] == "HTTP/1.1"
    assert context["args"] == "a=1&b=x%20y&a=2" and context["scheme"] == "http"


def test_bodies_are_read_by_their_type(expose, echo, call, name):
    path = expose(echo, f"/{name('post')}", methods=["POST"])

    def payload(**options):
        return call("POST", path, **options).json()[0]

    assert payload(json={"a": [1]}) == {"a": [1]}
    assert payload(data={"a": ["1", "2"], "b": "x y"}) == {"a": ["1", "2"], "b": "x y"}
    assert payload(files={"a": (None, "1"), "f": ("name", b"bytes")}) == {"a": "1"}
    assert payload() == {}
    assert payload(data=b"plain") == "plain"
    bad = call("POST", path, data="{", headers={"Content-Type": "application/json"})
    assert (bad.status_code, bad.json()) == (400, {"message": "request body is not json"})
    other = call("POST", path, data="x", headers={"Content-Type": "text/plain"})
    assert other.status_code == 415
    assert other.json() == {"message": "request body type is not supported: text/plain"}
    assert call("POST", path, data=b'"' + b"x" * 3_000_000 + b'"').status_code == 413


def test_what_no_api_has_is_not_found(org, expose, echo, call, name):
    path = expose(echo, f"/{name('x')}", methods=["GET"], hosts=["api.example.com"])
    host = {"Host": "API.example.com:8081"}
    assert call("GET", path, headers=host).status_code == 200
    for method, wrong, headers in [("GET", path, {}), ("POST", path, host), ("GET", "/no", host)]:
        answer = call(method, wrong, headers=headers)
        assert answer.status_code == 404
        assert answer.json() == {"message": "no API found with those values"}


def test_path_parameters_and_what_wins(expose, echo, function, call, name):
    base = f"/{name('orders')}"
    path = expose(echo, base + "/{id}/items/{item}")
    plain = expose(function(lambda context, payload: "literal"), base + "/1/items/all")
    given = call("GET", path.replace("{id}", "7").replace("{item}", "a%20b")).json()[1]
    assert given["params"] == {"id": "7", "item": "a b"}
    assert call("GET", plain).json() == "literal"


def test_changes_are_live_at_once(org, expose, echo, call, name):
    path = expose(echo, f"/{name('live')}")
    assert call("GET", path).status_code == 200
    org.put(f"{API}/{expose.name}", {"function": echo, "uris": [path], "enabled": False}, expect=200)
    assert call("GET", path).status_code == 404
    org.put(f"{API}/{expose.name}", {"function": echo, "uris": [path], "enabled": True}, expect=200)
    assert call("GET", path).status_code == 200
    shown = org.delete(f"{API}/{expose.name}", expect=200).json()
    assert shown["name"] == expose.name
    assert call("GET", path).status_code == 404


def test_changes_drop_no_request(org, expose, function, call, name):
    """While another function, other methods and other paths come and go, each request has its answer."""
    first = function(lambda context, payload: "first")
    second = function(lambda context, payload: "second")
    path = expose(first, f"/{name('busy')}")
    stop, answers = threading.Event(), []

    def load():
        while not stop.is_set():
            answer = call("GET", path)
            answers.append((answer.status_code, answer.text))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for round_ in range(10):
            body = {"function": (first, second)[round_ % 2], "uris": [path, f"{path}/{round_}"], "enabled": True}
            methods = ["GET"] if round_ % 3 else ["GET", "POST"]
            org.put(f"{API}/{expose.name}", {**body, "methods": methods}, expect=200)
            # Live when the change is answered.
            assert call("GET", path).json() == ("first", "second")[round_ % 2]
            assert call("GET", f"{path}/{round_}").status_code == 200
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {(200, '"first"'), (200, '"second"')}, set(answers)


def test_functions_choose_status_fields_and_type(expose, function, call, name):
    def chosen(response):
        return expose(function(lambda context, payload: {"httpResponse": response}), f"/{name('c')}")

    answer = call(
        "GET", chosen({"status": 201, "headers": {"Content-Type": "text/html", "X-A": "1"},
                       "body": "<b>"})
    )  # fmt: skip
    assert (answer.status_code, answer.text, answer.headers["X-A"]) == (201, "<b>", "1")
    assert answer.headers["Content-Type"] == "text/html"
    assert call("GET", chosen({"body": "AAE=", "base64": True})).content == b"\x00\x01"
    for bad in ({"status": 99}, {"headers": {"X": "a\nb"}}, {"headers": {"Content-Length": "1"}}):
        assert call("GET", chosen(bad)).status_code == 502
    assert call("GET", expose(function(lambda context, payload: ""), f"/{name('e')}")).content == b""


def test_failures_are_told(expose, function, call, name):
    def path_of(answer, **fields):
        return expose(function(lambda context, payload: answer, **fields), f"/{name('f')}")

    error = {"type": "InputError", "message": "bad", "stacktrace": []}
    answer = call("GET", path_of(answer_of(error=error)))
    assert (answer.status_code, answer.json()) == (400, {"message": "bad"})
    error = {**error, "type": "FunctionError"}
    assert call("GET", path_of(answer_of(error=error))).status_code == 502
    assert call("GET", path_of(Answer(hang=True), timeout="1s")).status_code == 504
    assert call("GET", path_of(Answer(reset=True))).status_code == 503
    missing = call("GET", expose(name("none"), f"/{name('m')}"))
    assert missing.status_code == 502 and "is not READY" in missing.json()["message"]


def test_asynchronous_calls_options_cors_and_https(org, expose, echo, call, name):
    path = expose(echo, f"/{name('cors')}", methods=["GET"], cors=True)
    answer = call("GET", path, headers={"x-dispatch-blocking": "false"})
    assert (answer.status_code, answer.content) == (200, b"")
    eventually(
        lambda: any(
            run["status"] == "READY" and not run["blocking"]
            for run in org.get(f"/v1/runs?functionName={echo}", expect=200).json()
        ),
        "it is run",
    )
    options = call("OPTIONS", path)
    assert (options.status_code, options.content) == (200, b"")
    assert options.headers["Access-Control-Allow-Origin"] == "*"
    named = expose(echo, f"/{name('named')}", cors={"origins": ["https://a.example"]})
    seen = [
        call("GET", named, headers={"Origin": origin}).headers.get("Access-Control-Allow-Origin")
        for origin in ("https://a.example", "https://b.example")
    ]
    assert seen == ["https://a.example", None]
    secure = expose(echo, f"/{name('s')}", protocols=["https"])
    answer = call("GET", secure)
    assert (answer.status_code, answer.json()) == (400, {"message": "Please use HTTPS protocol"})
    assert call("GET", secure, headers={"X-Forwarded-Proto": "https"}).status_code == 200


def test_a_key_is_asked_for_and_kept_from_the_function(org, admin, expose, echo, call, name):
    path = expose(echo, f"/{name('key')}", authentication="key")
    assert call("GET", path).status_code == 401
    made = org.post("/v1/iam/keys", {"name": name("k"), "scopes": ["invoke"]}, expect=201).json()
    reader = org.post("/v1/iam/keys", {"name": name("k"), "scopes": ["read"]}, expect=201).json()
    assert call("GET", path, headers={"Authorization": f"Bearer {reader['key']}"}).status_code == 403
    answer = call("GET", path, headers={"Authorization": f"Bearer {made['key']}"})
    assert answer.status_code == 200 and "authorization" not in answer.json()[1]


def test_two_cannot_have_the_same_requests(org, expose, echo, name):
    uri = f"/{name('taken')}"
    expose(echo, uri + "/{a}", methods=["GET", "POST"])
    first = expose.name
    body = {"name": name("api"), "function": echo, "enabled": True, "uris": [uri + "/{b}"]}
    refused = org.post(API, {**body, "methods": ["POST"]}, expect=409)
    assert f"'{first}'" in refused.json()["message"]
    org.post(API, {**body, "methods": ["PUT"]}, expect=200)
    org.delete(f"/v1/endpoint/{body['name']}", expect=200)


def test_no_organisation_takes_the_requests_of_another(org, fresh_org, expose, echo, call, name):
    """By a host that all requests have, by a more literal path, by another method, or by a host in use."""
    path = expose(echo, f"/{name('mine')}/{{id}}", methods=["GET"], authentication="key")
    gateway = urlsplit(call("GET", "/").url).hostname
    body = {"name": name("api"), "function": "f", "enabled": True, "hosts": [gateway]}
    for uri in (path, path.replace("{id}", "1")):
        refused = fresh_org.post(API, {**body, "uris": [uri], "methods": ["POST"]}, expect=409)
        assert "another organisation" in refused.json()["message"] and expose.name not in refused.text
    assert call("GET", path.replace("{id}", "1")).status_code == 401
    host = name("host") + ".example.com"
    expose(echo, f"/{name('hosted')}", hosts=[host])
    taken = fresh_org.post(API, {**body, "uris": ["/"], "hosts": ["other.example.com", host]}, expect=409)
    assert "another organisation has one of these hosts" in taken.json()["message"]


def test_what_does_not_hold_is_named(org, name):
    bad = {"name": name("api"), "function": "f", "uris": ["no-slash", "/a{b}"], "methods": ["GRAB"],
           "hosts": ["a b"], "protocols": ["ftp"], "authentication": "oauth2"}  # fmt: skip
    answer = org.post(API, bad, expect=422).json()
    named = {detail["field"] for detail in answer["details"]}
    assert named == {"uris", "methods", "hosts", "protocols", "authentication"}
    assert org.get(f"{API}/none").status_code == 404


def test_they_are_kept_under_both_names(org, echo, name, call):
    called = name("api")
    body = {"name": called, "function": echo, "uris": [f"/{called}"], "methods": ["GET"]}
    made = org.post("/v1/endpoint", {**body, "enabled": True}, expect=200).json()
    for path in (API, "/v1/endpoint"):
        assert called in [shown["name"] for shown in org.get(path, expect=200).json()]
        assert org.get(f"{path}/{called}", expect=200).json()["function"] == echo
    org.put(f"/v1/endpoint/{called}", {**body, "enabled": False}, expect=200)
    eventually(lambda: call("GET", made["uris"][0]).status_code == 404, "it is not served")
    org.delete(f"/v1/endpoint/{called}", expect=200)
    org.get(f"{API}/{called}", expect=404)
