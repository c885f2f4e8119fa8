"""Applications, and lists of what is of one: the tag Application."""

import pytest

PATH = "/v1/application"


def test_an_application_is_made_changed_and_deleted(org, name):
    called = name("app")
    made = org.post(PATH, {"name": called, "tags": None}, expect=201).json()
    assert made["kind"] == "Application" and made["status"] == "READY" and made["id"]
    assert org.post(PATH, {"name": called}).status_code == 409
    assert org.post(PATH, {"name": "no such name"}).status_code == 422
    tagged = {"name": called, "tags": [{"key": "team", "value": "a"}]}
    assert org.put(f"{PATH}/{called}", tagged, expect=200).json()["tags"] == tagged["tags"]
    assert org.get(f"{PATH}/{called}", expect=200).json()["tags"] == tagged["tags"]
    assert called in [a["name"] for a in org.get(f"{PATH}?tags=team=a", expect=200).json()]
    assert org.delete(f"{PATH}/{called}", expect=200).json()["name"] == called
    assert org.get(f"{PATH}/{called}").status_code == 404


@pytest.mark.parametrize("query", ["application", "app", "Application"])
def test_lists_select_by_application(org, name, query):
    shop, other = name("shop"), name("other")
    of = lambda app: {"tags": [{"key": "Application", "value": app}]}  # noqa: E731
    for app in (shop, other):
        base = {"name": name("base"), "dockerUrl": "x/python3-base:1", "language": "python3"}
        org.post("/v1/baseimage", {**base, **of(app)}, expect=201)
        org.post("/v1/image", {"name": name("i"), "baseImageName": base["name"], **of(app)}, expect=201)
        function = {"name": name("f"), "url": "http://127.0.0.1:9/", **of(app)}
        org.post("/v1/function", function, expect=201)
        org.post("/v1/secret", {"name": name("s"), "secrets": {"a": "b"}, **of(app)}, expect=201)
        api = {"name": name("api"), "function": function["name"], "uris": [f"/{name('u')}"]}
        org.post("/v1/api", {**api, **of(app)}, expect=200)
        sub = {"name": name("sub"), "eventType": "t", "function": function["name"], **of(app)}
        org.post("/v1/event/subscriptions", sub, expect=201)
    for kind in ("baseimage", "image", "function", "secret", "api", "event/subscriptions"):
        found = org.get(f"/v1/{kind}?tags={query}={shop}", expect=200).json()
        assert [o["tags"][0]["value"] for o in found] == [shop], kind
    assert org.get("/v1/function?tags=shop").status_code == 400


def test_runs_of_an_application(org, name):
    function = name("f")
    org.post("/v1/function", {"name": function, "url": "http://127.0.0.1:9/"}, expect=201)
    run = {"blocking": True, "tags": [{"key": "Application", "value": "shop"}]}
    made = org.post(f"/v1/runs?functionName={function}", run, expect=200).json()["name"]
    org.post(f"/v1/runs?functionName={function}", {"blocking": True}, expect=200)
    found = org.get(f"/v1/runs?functionName={function}&tags=app=shop", expect=200).json()
    assert [r["name"] for r in found] == [made]
