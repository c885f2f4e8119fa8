"""The conventions of the REST API, the same for every kind of object."""

import dataclasses
import itertools
import json
import re
from collections.abc import Callable

import pytest
from conftest import make_key, make_org
from lib.client import Client

NUMBERS = itertools.count(1)
NOWHERE = {"url": "http://127.0.0.1:1/"}


def topic_body(name):
    return {"name": name, "partitions": 1}


def subscription_body(name):
    return {"name": name, "topic": "base", "eventType": "a", "sink": NOWHERE}


def function_body(name):
    return {"name": name, "runtime": "http", **NOWHERE}


def secret_body(name):
    return {"name": name, "secrets": {"token": "t"}}


def organization_body(name):
    return {"name": name}


def key_body(name):
    return {"name": name, "scopes": ["read"]}


def policy_body(name):
    return {
        "name": name,
        "rules": [{"subjects": ["key:nobody"], "actions": ["read"], "resources": ["topic/none"]}],
    }


@dataclasses.dataclass(frozen=True)
class Kind:
    path: str
    body: Callable[[str], dict]
    bad: dict  # one field of these values is 422
    deleted: int = 204
    updated: int = 200  # secrets: 201, as VMware's
    global_only: bool = False
    by_id: bool = False  # the server gives the name in the path
    has_tags: bool = True


KINDS = {
    "topic": Kind("/v1/topics", topic_body, {"partitions": 0}),
    "subscription": Kind("/v1/event/subscriptions", subscription_body, {"timeout": "soon"}, 200),
    "subscription alias": Kind(
        "/v1/subscriptions", subscription_body, {"sink": {"url": "ftp://x"}}, 200
    ),
    "function": Kind("/v1/function", function_body, {"url": "nowhere"}, 200),
    "function alias": Kind("/v1/functions", function_body, {"runtime": "cobol"}, 200),
    "secret": Kind("/v1/secret", secret_body, {"tags": ["x"]}, updated=201),
    "secret alias": Kind("/v1/secrets", secret_body, {"secrets": {"a": 1}}, updated=201),
    "organization": Kind(
        "/v1/iam/organization", organization_body, {"tags": ["x"]}, global_only=True
    ),
    "key": Kind("/v1/iam/keys", key_body, {"scopes": ["fly"]}, by_id=True, has_tags=False),
    "policy": Kind("/v1/iam/policy", policy_body, {"rules": []}),
}
TAGGED = [name for name, kind in KINDS.items() if kind.has_tags]


@pytest.fixture(scope="module")
def base(admin, name) -> Client:
    """An admin of this module's organisation, which has a topic for subscriptions."""
    made = make_org(admin, name("api"))
    made.create_topic("base")
    return made


@dataclasses.dataclass
class Case:
    """One kind, and a client that may do everything with it."""

    kind: Kind
    client: Client
    name: str
    body: dict

    @property
    def path(self) -> str:
        return self.kind.path

    @property
    def changed(self) -> dict:
        """The body of an update that changes something."""
        if self.kind.has_tags:
            return {**self.body, "tags": [{"key": "changed", "value": "yes"}]}
        return {**self.body, "scopes": ["read", "publish"]}

    def create(self, body: dict | None = None) -> tuple[str, dict]:
        """Its path and what was answered."""
        made = self.client.post(self.path, body or self.body, expect=201).json()
        return f"{self.path}/{made['id'] if self.kind.by_id else made['name']}", made


def make_case(which, base, admin, name) -> Case:
    kind = KINDS[which]
    called = name("obj")
    return Case(kind, admin if kind.global_only else base, called, kind.body(called))


@pytest.fixture(params=KINDS)
def case(request, base, admin, name) -> Case:
    return make_case(request.param, base, admin, name)


@pytest.fixture(params=TAGGED)
def tagged_case(request, base, admin, name) -> Case:
    return make_case(request.param, base, admin, name)


VMWARE = re.compile(
    r"^/v1/(baseimage|image|function|secret|api|application|event/\w+|iam/\w+)(/|\?|$)"
)


def assert_is_error(answer, status: int):
    assert answer.status_code == status, answer.text[:500]
    body = answer.json()
    # What is no name has the code of VMware's servers under their paths.
    named = any(
        d["field"] == "eventType" or (d["field"] == "name" and d["reason"].startswith("must "))
        for d in body["details"]
    )
    vmware = VMWARE.search(answer.request.path_url) is not None
    assert body["code"] == (605 if status == 422 and named and vmware else status)
    assert body["message"]
    assert body["requestId"] == answer.headers["X-Request-Id"]
    assert isinstance(body["details"], list)
    return body


def test_life_of_an_object(case):
    path, made = case.create()
    assert made["name"] == case.name
    assert made["revision"] > 0
    assert case.client.get(path, expect=200).json()["id"] == made["id"]
    assert made["id"] in [o["id"] for o in case.client.get(case.path, expect=200).json()]
    changed = case.client.put(path, case.changed, expect=case.kind.updated).json()
    assert changed["revision"] > made["revision"]
    assert case.client.get(path, expect=200).json()["revision"] == changed["revision"]
    gone = case.client.delete(path, expect=case.kind.deleted)
    if case.kind.deleted == 200:
        assert gone.json()["name"] == case.name
    assert_is_error(case.client.get(path), 404)
    assert made["id"] not in [o["id"] for o in case.client.get(case.path, expect=200).json()]


def test_created_object_is_told_with_etag_version_and_location(case):
    answer = case.client.post(case.path, case.body, expect=201)
    made = answer.json()
    assert answer.headers["ETag"] == f'"{made["revision"]}"'
    assert answer.headers["X-Dispatch-Version"].endswith(f"@{made['revision']}")
    location = answer.headers["Location"]
    read = case.client.get(location, expect=200)
    assert read.headers["ETag"] == answer.headers["ETag"]
    assert read.json()["id"] == made["id"]


def test_reads_follow_writes_at_once(case):
    path, _ = case.create()
    case.client.get(path, expect=200)
    case.client.delete(path, expect=case.kind.deleted)
    case.client.get(path, expect=404)


def test_name_that_exists_is_409(case):
    case.create()
    assert_is_error(case.client.post(case.path, case.body), 409)


def test_idempotency_key_repeats_the_answer(case):
    headers = {"Idempotency-Key": case.name}
    first = case.client.post(case.path, case.body, headers=headers, expect=201).json()
    again = case.client.post(case.path, case.body, headers=headers, expect=201).json()
    assert (again["id"], again["revision"]) == (first["id"], first["revision"])
    assert "key" not in again  # an API key's text is shown once
    other = {**case.body, "name": case.name + "-2"}
    assert_is_error(case.client.post(case.path, other, headers=headers), 422)


def test_missing_object_is_404(case):
    path = f"{case.path}/{case.name}"
    body = assert_is_error(case.client.get(path), 404)
    assert case.name in body["message"]
    assert_is_error(case.client.put(path, case.body), 404)
    assert_is_error(case.client.delete(path), 404)


def test_body_that_is_no_json_object_is_400(case):
    headers = {"Content-Type": "application/json"}
    for body in (b"", b"{", b"[]", b'"x"', b'{"name": "\xff"}'):
        assert_is_error(case.client.post(case.path, data=body, headers=headers), 400)


def test_other_media_type_is_415(case):
    headers = {"Content-Type": "application/xml"}
    assert_is_error(case.client.post(case.path, data=b"<a/>", headers=headers), 415)
    path, _ = case.create()
    assert_is_error(case.client.put(path, data=b"<a/>", headers=headers), 415)


def test_body_over_the_limit_is_413(case):
    body = json.dumps({**case.body, "tags": [{"key": "k", "value": "x" * (9 << 20)}]}).encode()
    answer = case.client.post(case.path, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["code"] == 413


def test_field_that_does_not_hold_is_422_with_its_name(case):
    for field, value in case.kind.bad.items():
        body = assert_is_error(case.client.post(case.path, {**case.body, field: value}), 422)
        assert any(detail["field"].startswith(field) for detail in body["details"]), body
    body = assert_is_error(
        case.client.post(case.path, {k: v for k, v in case.body.items() if k != "name"}), 422
    )
    assert "name" in [detail["field"] for detail in body["details"]]


def test_unknown_field_is_422_with_its_name(case):
    body = assert_is_error(case.client.post(case.path, {**case.body, "nmae": 1}), 422)
    assert "nmae" in [detail["field"] for detail in body["details"]]


@pytest.mark.parametrize("bad", ["", "-x", "a b", "a/b", "é", "x" * 64])
def test_name_outside_the_pattern_is_422(case, bad):
    assert_is_error(case.client.post(case.path, {**case.body, "name": bad}), 422)


def test_update_that_names_another_object_is_400(case):
    if case.kind.by_id:
        pytest.skip("a key may be renamed")
    path, _ = case.create()
    assert_is_error(case.client.put(path, {**case.body, "name": "another"}), 400)


def test_no_key_is_401(case):
    nobody = case.client.with_key(None)
    path = f"{case.path}/{case.name}"
    for method, where in (
        ("GET", case.path),
        ("POST", case.path),
        ("GET", path),
        ("PUT", path),
        ("DELETE", path),
    ):
        answer = nobody.request(method, where, json=case.body)
        assert_is_error(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_key_without_the_right_is_403(case, base):
    weak = make_key(base, f"weak-{next(NUMBERS)}-{case.name}", ["publish:topic/none"])
    path, _ = case.create()
    for method, where in (
        ("GET", case.path),
        ("POST", case.path),
        ("GET", path),
        ("PUT", path),
        ("DELETE", path),
    ):
        assert_is_error(weak.request(method, where, json=case.body), 403)
    case.client.get(path, expect=200)


def test_other_method_is_405_with_the_right_ones(case):
    for method, where, right in (("PATCH", case.path, "POST"), ("POST", f"{case.path}/x", "PUT")):
        answer = case.client.request(method, where, json={})
        assert_is_error(answer, 405)
        assert right in answer.headers["Allow"].split(", ")


def test_if_match_guards_update_and_delete(case):
    path, made = case.create()
    old = {"If-Match": f'"{made["revision"]}"'}
    answer = case.client.put(path, case.changed, headers=old, expect=case.kind.updated)
    current = answer.headers["ETag"]
    assert_is_error(case.client.put(path, case.body, headers=old), 412)
    assert_is_error(case.client.put(path, case.changed, headers=old), 412)
    assert_is_error(case.client.delete(path, headers=old), 412)
    case.client.get(path, expect=200)
    case.client.delete(path, headers={"If-Match": current}, expect=case.kind.deleted)


def test_an_update_that_changes_nothing_keeps_the_revision(case):
    if "secrets" in case.body:
        pytest.skip("what a secret holds cannot be compared: it is written each time")
    path, _ = case.create()
    first = case.client.put(path, case.changed, expect=case.kind.updated)
    again = case.client.put(
        path, case.changed, headers={"If-Match": first.headers["ETag"]}, expect=case.kind.updated
    )
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.json()["revision"] == first.json()["revision"]
    assert case.client.get(path, expect=200).json()["revision"] == first.json()["revision"]


def test_malformed_if_match_is_400(case):
    path, _ = case.create()
    assert_is_error(case.client.put(path, case.body, headers={"If-Match": "yesterday"}), 400)
    assert_is_error(case.client.delete(path, headers={"If-Match": "yesterday"}), 400)


def test_list_is_whole_without_limit_and_paged_with_it(case):
    bodies = [case.kind.body(f"{case.name}-{i}") for i in range(5)]
    made = {case.create(body)[1]["id"] for body in bodies}
    whole = [o["id"] for o in case.client.get(case.path, expect=200).json()]
    assert made <= set(whole)
    paged, path = [], f"{case.path}?limit=2"
    while path:
        answer = case.client.get(path, expect=200)
        assert 1 <= len(answer.json()) <= 2
        paged += [o["id"] for o in answer.json()]
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert paged == whole


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "tags=novalue"])
def test_malformed_list_query_is_400(case, query):
    assert_is_error(case.client.get(f"{case.path}?{query}"), 400)


def test_tags_select(tagged_case):
    case = tagged_case
    tags = [{"key": "color", "value": case.name}, {"key": "size", "value": "big"}]
    _, both = case.create({**case.kind.body(case.name), "tags": tags})
    _, one = case.create({**case.kind.body(case.name + "-2"), "tags": tags[:1]})
    case.create(case.kind.body(case.name + "-3"))

    def selected(*wanted):
        query = "&".join(f"tags={tag}" for tag in wanted)
        return {o["id"] for o in case.client.get(f"{case.path}?{query}", expect=200).json()}

    assert selected(f"color={case.name}") == {both["id"], one["id"]}
    assert selected(f"color={case.name}", "size=big") == {both["id"]}
    assert selected(f"color={case.name}", "size=small") == set()


def test_alias_names_the_same_objects(base, name):
    called = name("both")
    base.post("/v1/subscriptions", subscription_body(called), expect=201)
    one = base.get(f"/v1/subscriptions/{called}", expect=200).json()
    other = base.get(f"/v1/event/subscriptions/{called}", expect=200).json()
    assert one["id"] == other["id"]
    base.post(f"/v1/subscriptions/{called}/pause", expect=200)
    assert base.get(f"/v1/event/subscriptions/{called}", expect=200).json()["paused"] is True
    base.post(f"/v1/subscriptions/{called}/resume", expect=200)
    assert base.get(f"/v1/subscriptions/{called}/dead-letters", expect=200).json() == []
    assert base.get(f"/v1/subscriptions/{called}/deliveries", expect=200).json() == []
    for what in ("blocking-keys", "replays"):
        assert base.get(f"/v1/subscriptions/{called}/{what}", expect=200).json() == []
        assert base.get(f"/v1/event/subscriptions/{called}/{what}", expect=200).json() == []
    assert_is_error(base.get(f"/v1/subscriptions/{called}/dead-letters/0-0"), 404)
    base.delete(f"/v1/subscriptions/{called}", expect=200)


# ---- what only one kind has


def test_topic_in_use_cannot_be_deleted(base, name):
    topic, subscription = name("topic"), name("user")
    base.create_topic(topic)
    base.post("/v1/subscriptions", {**subscription_body(subscription), "topic": topic}, expect=201)
    body = assert_is_error(base.delete(f"/v1/topics/{topic}"), 409)
    assert subscription in body["message"]
    base.delete(f"/v1/subscriptions/{subscription}", expect=200)
    base.delete(f"/v1/topics/{topic}", expect=204)


def test_function_in_use_cannot_be_deleted(base, name):
    function, subscription = name("function"), name("user")
    base.post("/v1/function", function_body(function), expect=201)
    body = {"name": subscription, "topic": "base", "eventType": "a", "function": function}
    base.post("/v1/subscriptions", body, expect=201)
    assert subscription in assert_is_error(base.delete(f"/v1/function/{function}"), 409)["message"]
    base.delete(f"/v1/subscriptions/{subscription}", expect=200)
    base.delete(f"/v1/function/{function}", expect=200)


def test_subscription_to_a_missing_topic_is_refused(base, name):
    body = {**subscription_body(name()), "topic": "no-such-topic"}
    assert base.post("/v1/subscriptions", body).status_code in (404, 422)


def test_topics_that_differ_by_dot_and_underscore_are_409(base, name):
    called = name("t").replace("-", ".")
    base.create_topic(called)
    assert_is_error(base.post("/v1/topics", topic_body(called.replace(".", "_", 1))), 409)


def test_topic_grows_and_does_not_shrink(base, name):
    called = name("grow")
    base.create_topic(called, partitions=2)
    assert base.put(f"/v1/topics/{called}", {"partitions": 4}, expect=200).json()["partitions"] == 4
    positions = {base.publish(called)["partition"] for _ in range(60)}
    assert positions <= {0, 1, 2, 3}
    assert_is_error(base.put(f"/v1/topics/{called}", {"partitions": 1}), 422)


def test_reserved_organization_name_is_refused(admin):
    assert_is_error(admin.post("/v1/iam/organization", {"name": "dispatch"}), 422)


def test_missing_places_of_events_and_deliveries_are_404(base, name):
    missing = name("none")
    assert_is_error(base.post(f"/v1/topics/{missing}/events?type=a", data=b"x"), 404)
    assert_is_error(base.get(f"/v1/topics/{missing}/events/0/0/deliveries"), 404)
    assert_is_error(base.get("/v1/topics/base/events/7/0/deliveries"), 404)
    for verb in ("pause", "resume"):
        assert_is_error(base.post(f"/v1/event/subscriptions/{missing}/{verb}"), 404)
    for what in ("dead-letters", "dead-letters/0-0", "deliveries"):
        assert_is_error(base.get(f"/v1/event/subscriptions/{missing}/{what}"), 404)


def test_position_that_is_no_number_is_400(base):
    assert_is_error(base.get("/v1/topics/base/events/x/0/deliveries"), 400)
    assert_is_error(base.get("/v1/topics/base/events/0/-1/deliveries"), 400)


def test_pause_honours_if_match(base, name):
    called = name("paused")
    made = base.post("/v1/subscriptions", subscription_body(called), expect=201)
    base.post(
        f"/v1/subscriptions/{called}/pause", headers={"If-Match": made.headers["ETag"]}, expect=200
    )
    answer = base.post(
        f"/v1/subscriptions/{called}/resume", headers={"If-Match": made.headers["ETag"]}
    )
    assert_is_error(answer, 412)


def test_min_version_is_awaited_or_503(base, name):
    called = name("seen")
    made = base.post("/v1/topics", topic_body(called), expect=201)
    version = made.headers["X-Dispatch-Version"]
    base.get(f"/v1/topics/{called}", headers={"X-Dispatch-Min-Version": version}, expect=200)
    future = version.rpartition("@")[0] + "@999999999"
    answer = base.get(
        f"/v1/topics/{called}", headers={"X-Dispatch-Min-Version": future}, expect=503
    )
    assert int(answer.headers["Retry-After"]) >= 1
    assert_is_error(
        base.get(f"/v1/topics/{called}", headers={"X-Dispatch-Min-Version": "soon"}), 400
    )


def test_request_id_is_taken_or_made(base):
    assert (
        base.get("/v1/topics", headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"]
        == "mine-1"
    )
    first, second = (base.get("/v1/topics").headers["X-Request-Id"] for _ in range(2))
    assert first != second


def test_head_is_get_without_a_body(base):
    answer = base.request("HEAD", "/v1/topics")
    assert answer.status_code == 200 and answer.content == b""


def test_unknown_path_is_404(base):
    assert_is_error(base.get("/v1/nosuch"), 404)
