"""Who may do what: keys, scopes, policies, and that organisations never see each other."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from conftest import make_key, make_org
from lib.client import event
from lib.kafka import read_all, topics
from lib.wait import STEP, eventually, throughout

SUBSCRIPTIONS = "/v1/event/subscriptions"
REVOKED = 2.0  # seconds: what is asked later is refused


@pytest.fixture(scope="module")
def two(admin, name):
    """Admins of two organisations with the same topic in both."""
    orgs = make_org(admin, name("north")), make_org(admin, name("south"))
    for client in orgs:
        client.create_topic("orders")
    return orgs


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def refused_from_now(ask, status: int, what: str) -> None:
    """ask() is answered with `status` before long, and must be when it is asked REVOKED seconds on."""
    since, answered = time.monotonic(), None
    while answered != status:
        asked = time.monotonic()
        answered = ask().status_code
        assert answered == status or asked < since + REVOKED, f"{answered}, not {status}: {what}"
        time.sleep(STEP)


def test_same_names_in_two_organisations_stay_apart(two, receiver, name):
    called = name("billing")
    hooks = [receiver.endpoint(), receiver.endpoint()]
    for client, hook in zip(two, hooks):
        client.subscribe(called, "orders", hook.url)
    ids = [
        [client.publish("orders", id=f"{side}-{i}")["id"] for i in range(10)]
        for side, client in zip("ns", two)
    ]
    for client, hook, wanted in zip(two, hooks, ids):
        client.settled(called, matched=10)
        assert sorted(hook.event_ids) == sorted(wanted)
    one, other = (client.subscription(called) for client in two)
    assert one["id"] != other["id"] and one["sink"]["url"] != other["sink"]["url"]


def test_objects_of_another_organisation_do_not_exist(two, name):
    north, south = two
    topic, function = name("only"), name("only")
    north.create_topic(topic)
    north.post(
        "/v1/function",
        {"name": function, "runtime": "http", "url": "http://127.0.0.1:1/"},
        expect=201,
    )
    north.subscribe(topic, topic, "http://127.0.0.1:1/")
    policy = {
        "name": topic,
        "rules": [{"subjects": ["key:x"], "actions": ["read"], "resources": ["*"]}],
    }
    north.post("/v1/iam/policy", policy, expect=201)
    key = north.post("/v1/iam/keys", {"name": topic, "scopes": ["read"]}, expect=201).json()["id"]
    position = north.publish(topic)
    for path in (
        f"/v1/topics/{topic}",
        f"{SUBSCRIPTIONS}/{topic}",
        f"{SUBSCRIPTIONS}/{topic}/dead-letters",
        f"{SUBSCRIPTIONS}/{topic}/deliveries",
        f"/v1/topics/{topic}/events/{position['partition']}/{position['offset']}/deliveries",
        f"/v1/function/{function}",
        f"/v1/iam/keys/{key}",
        f"/v1/iam/policy/{topic}",
        f"/v1/iam/organization/{north.org_name}",
    ):
        north.get(path, expect=200)
        south.get(path, expect=404)
    south.post(f"/v1/topics/{topic}/events?type=a", data=b"x", expect=404)
    for path in (f"{SUBSCRIPTIONS}/{topic}", f"/v1/function/{function}", f"/v1/iam/keys/{key}"):
        south.delete(path, expect=404)
    for path in ("/v1/topics", SUBSCRIPTIONS, "/v1/function", "/v1/iam/keys", "/v1/iam/policy"):
        assert not {o["name"] for o in south.get(path, expect=200).json()} & {topic, function}
    assert topic not in south.get("/v1/lag", expect=200).text


def test_header_grants_nothing(two):
    north, south = two
    answer = north.get("/v1/topics", headers={"X-Dispatch-Org": south.org_name}, expect=403)
    assert south.org_name in answer.json()["message"]
    north.get("/v1/topics", headers={"X-Dispatch-Org": north.org_name}, expect=200)


def test_global_key_chooses_an_existing_organisation(two, admin):
    names = [t["name"] for t in admin.in_org(two[0].org_name).get("/v1/topics", expect=200).json()]
    assert "orders" in names
    admin.in_org("no-such-org").get("/v1/topics", expect=404)


def test_admin_of_one_organisation_makes_no_other(two, name):
    two[0].post("/v1/iam/organization", {"name": name("mine")}, expect=403)


def test_admin_of_one_organisation_makes_no_global_key(two, name):
    body = {"name": name(), "scopes": ["admin"], "global": True}
    two[0].post("/v1/iam/keys", body, expect=403)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic {key}",
        "Bearer {key}x",
        "bearer2 {key}",
        "Bearer dsp_" + "a" * 12 + "_" + "b" * 32,
    ],
)
def test_malformed_authorization_is_401(two, authorization):
    header = authorization.replace("{key}", two[0].key)
    two[0].with_key(None).get("/v1/topics", headers={"Authorization": header}, expect=401)


def test_wrong_secret_is_401(two):
    key = two[0].key
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    two[0].with_key(wrong).get("/v1/topics", expect=401)


def test_key_is_shown_once(two, name):
    made = two[0].post("/v1/iam/keys", {"name": name(), "scopes": ["read"]}, expect=201).json()
    assert made["key"].startswith(f"dsp_{made['id']}_")
    secret = made["key"].rpartition("_")[2]
    for path in (f"/v1/iam/keys/{made['id']}", "/v1/iam/keys"):
        text = two[0].get(path, expect=200).text
        assert secret not in text and "hmac" not in text


def test_revoked_key_stops_within_2_seconds(two, name):
    made = two[0].post("/v1/iam/keys", {"name": name(), "scopes": ["read"]}, expect=201).json()
    client = two[0].with_key(made["key"])
    client.get("/v1/topics", expect=200)
    two[0].delete(f"/v1/iam/keys/{made['id']}", expect=204)
    refused_from_now(lambda: client.get("/v1/topics"), 401, "the key is revoked")
    throughout(lambda: client.get("/v1/topics").status_code == 401, "and stays refused", 0.5)


def test_key_expires(two, name):
    expires = datetime.now(UTC) + timedelta(seconds=5)
    client = make_key(two[0], name("short"), ["read"], expiresAt=rfc3339(expires))
    client.get("/v1/topics", expect=200)
    eventually(lambda: datetime.now(UTC) >= expires, "its time comes")
    refused_from_now(lambda: client.get("/v1/topics"), 401, "the key has expired")


def test_key_that_expired_already_is_refused(two, name):
    body = {
        "name": name(),
        "scopes": ["read"],
        "expiresAt": rfc3339(datetime.now(UTC) - timedelta(hours=1)),
    }
    two[0].post("/v1/iam/keys", body, expect=422)


def test_publisher_may_only_publish_to_its_topic(two, name):
    other = name("other")
    two[0].create_topic(other)
    client = make_key(two[0], name("pub"), ["publish:topic/orders"])
    client.publish("orders")
    client.post(f"/v1/topics/{other}/events?type=a", data=b"x", expect=403)
    client.get("/v1/topics/orders", expect=403)
    client.get(SUBSCRIPTIONS, expect=403)
    client.get("/v1/lag", expect=403)
    client.post("/v1/topics", {"name": name()}, expect=403)
    client.get("/v1/iam/keys", expect=403)


def test_reader_reads_and_changes_nothing(two, name):
    client = make_key(two[0], name("reader"), ["read"])
    client.get("/v1/topics/orders", expect=200)
    client.get(SUBSCRIPTIONS, expect=200)
    client.get("/v1/lag", expect=200)
    client.put("/v1/topics/orders", {"partitions": 2}, expect=403)
    client.delete("/v1/topics/orders", expect=403)
    client.post("/v1/topics/orders/events?type=a", data=b"x", expect=403)
    client.get("/v1/topics/orders/events/0/0/deliveries", expect=403)
    client.get("/v1/iam/keys", expect=403)


def test_subscriber_subscribes_under_its_prefix(two, receiver, name):
    client = make_key(two[0], name("sub"), ["subscribe:subscription/team-*", "read"])
    called = "team-" + name()
    client.subscribe(called, "orders", receiver.endpoint().url)
    body = {
        "name": name("other"),
        "topic": "orders",
        "filters": [],
        "sink": {"url": "http://127.0.0.1:1/"},
    }
    client.post(SUBSCRIPTIONS, body, expect=403)
    client.post(f"{SUBSCRIPTIONS}/{called}/pause", expect=200)
    client.get(f"{SUBSCRIPTIONS}/{called}/dead-letters", expect=403)
    client.delete(f"{SUBSCRIPTIONS}/{called}", expect=200)


def test_list_shows_only_what_may_be_read(two, name):
    mine = name("mine")
    two[0].create_topic(mine)
    client = make_key(two[0], name("reader"), [f"read:topic/{mine}"])
    assert [t["name"] for t in client.get("/v1/topics", expect=200).json()] == [mine]


def test_nobody_gives_what_he_does_not_have(two, name):
    limited = make_key(two[0], name("iam"), [{"actions": ["admin"], "resources": ["apikey/*"]}])
    limited.post("/v1/iam/keys", {"name": name(), "scopes": ["admin"]}, expect=403)
    limited.post("/v1/iam/keys", {"name": name(), "scopes": ["write:topic/orders"]}, expect=403)


def test_policy_grants_until_it_is_deleted(two, name):
    key_name, policy = name("plain"), name("policy")
    client = make_key(two[0], key_name, [])
    client.get("/v1/topics/orders", expect=403)
    rule = {"subjects": [f"key:{key_name}"], "actions": ["read"], "resources": ["topic/*"]}
    two[0].post("/v1/iam/policy", {"name": policy, "rules": [rule]}, expect=201)
    client.get("/v1/topics/orders", expect=200)
    client.delete("/v1/topics/orders", expect=403)
    two[0].delete(f"/v1/iam/policy/{policy}", expect=204)
    refused_from_now(lambda: client.get("/v1/topics/orders"), 403, "it grants no more")


def test_narrowed_scopes_hold_within_2_seconds(two, name):
    made = (
        two[0]
        .post("/v1/iam/keys", {"name": name(), "scopes": ["read", "publish"]}, expect=201)
        .json()
    )
    client = two[0].with_key(made["key"])
    client.publish("orders")
    two[0].put(f"/v1/iam/keys/{made['id']}", {"scopes": ["read"]}, expect=200)
    path = "/v1/topics/orders/events?type=a"
    refused_from_now(lambda: client.post(path, data=b"x"), 403, "it may not publish any more")
    client.get("/v1/topics/orders", expect=200)


def test_deleted_organisation_takes_its_keys_along(admin, name):
    called = name("gone")
    client = make_org(admin, called)
    client.get("/v1/topics", expect=200)
    admin.delete(f"/v1/iam/organization/{called}", expect=204)
    refused_from_now(lambda: client.get("/v1/topics"), 401, "its organisation is gone")


def test_organisation_goes_when_it_is_empty_and_leaves_nothing(stack, admin, receiver, name):
    called, hook = name("gone"), receiver.endpoint()
    client = make_org(admin, called)
    path = f"/v1/iam/organization/{called}"
    client.post("/v1/topics", {"name": "orders"}, expect=201)
    client.subscribe("all", "orders", hook.url)
    assert "subscription 'all'" in admin.delete(path, expect=409).json()["message"]
    client.delete("/v1/event/subscriptions/all")
    assert "topic 'orders'" in admin.delete(path, expect=409).json()["message"]
    client.delete("/v1/topics/orders")
    admin.delete(path, expect=204)
    eventually(
        lambda: f"{called}.default" not in topics(stack.kafka_brokers),
        "its topic 'default' goes with it",
    )
    again = admin.post("/v1/iam/organization", {"name": called}, expect=409)
    assert "choose another" in again.json()["message"]


def test_subscription_of_a_batch_from_another_organisation_stays_empty(two, receiver, name):
    north, south = two
    hook = receiver.endpoint()
    called = name("quiet")
    south.subscribe(called, "orders", hook.url)
    marker = name("marker")
    follower = receiver.endpoint()
    north.subscribe(marker, "orders", follower.url)
    north.publish_batch("orders", [event() for _ in range(100)])
    north.settled(marker, matched=100)
    throughout(lambda: len(hook) == 0, "the other organisation hears nothing", 0.5)
    assert south.statistics(called)["matched"] == 0


def test_changes_of_every_kind_are_audited(stack, org, topic, subscribe, receiver):
    """Whoever owns what is changed; refused ones too."""
    called = subscribe(receiver.endpoint().url)
    path = f"/v1/event/subscriptions/{called}"
    org.delete(f"{path}/dead-letters", expect=200)
    org.post(f"{path}/dead-letters/redrive", {}, expect=202)
    org.post(f"{path}/pause", expect=200)
    org.post(path.rpartition("/")[0], {"name": called, "topic": topic}, expect=422)
    wanted = {
        b"subscription.create",
        b"deadletter.purge",
        b"redrive.create",
        b"subscription.pause",
        b"unprocessable",
    }

    def told():
        records = [m.value() for m in read_all(stack.kafka_brokers, "dispatch.audit")]
        records = [value for value in records if called.encode() in value]
        return all(any(what in value for value in records) for what in wanted)

    eventually(told, "the audit topic has them")
