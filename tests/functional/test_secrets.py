"""Secrets: written, never read back, and used to authorise and sign deliveries."""

import base64
import hashlib
import hmac
import subprocess

import psycopg
import pytest
from lib.kafka import read_all, topics
from lib.wait import eventually

SECRET = "/v1/secret"
VALUE = "s3cr3t-that-must-stay-hidden"


@pytest.fixture
def secret(org, name):
    made = []

    def make(**values) -> str:
        called = name("secret")
        org.post(SECRET, {"name": called, "secrets": values}, expect=201)
        made.append(called)
        return called

    yield make
    for called in made:
        org.delete(f"{SECRET}/{called}")


def signature(key: bytes, request) -> str:
    text = f"{request['webhook-id']}.{request['webhook-timestamp']}.".encode() + request.body
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def test_values_are_never_read_back(org, secret):
    called = secret(token=VALUE, other="x")
    shown = org.get(f"{SECRET}/{called}", expect=200)
    assert shown.json()["secrets"] == {"token": "<hidden>", "other": "<hidden>"}
    listed = org.get(SECRET, expect=200)
    replaced = org.put(f"{SECRET}/{called}", {"secrets": {"token": "<hidden>"}}, expect=201)
    for answer in (shown, listed, replaced):
        assert VALUE not in answer.text


def test_values_are_in_no_topic_table_log_or_process(stack, org, secret):
    called = secret(token=VALUE)
    for topic in topics(stack.kafka_brokers):
        if not topic.startswith("dispatch."):
            continue
        for record in read_all(stack.kafka_brokers, topic):
            assert VALUE.encode() not in (record.value() or b""), topic
    with psycopg.connect(stack.env["DISPATCH_PG_URL_FUNCTION_MANAGER"]) as database:
        tables = database.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            for row in database.execute(f"select t::text from {table} t").fetchall():
                assert VALUE not in row[0] and VALUE.encode().hex() not in row[0], table
        assert database.execute("select 1 from secrets where name = %s", (called,)).fetchone()
    for service in ("api-gateway", "function-manager", "event-manager", "identity"):
        assert VALUE not in stack.log(service)
    assert VALUE not in subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout


def test_authorization_goes_along(org, topic, receiver, subscribe, secret):
    hooks = {}
    for values, field in (
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "u", "password": "p"}, "Basic " + base64.b64encode(b"u:p").decode()),
        ({"authorization": "ApiKey 7"}, "ApiKey 7"),
    ):
        hooks[field] = receiver.endpoint()
        subscribe(sink={"url": hooks[field].url, "auth": {"secret": secret(**values)}})
    org.publish(topic)
    for field, hook in hooks.items():
        eventually(lambda hook=hook: len(hook) == 1, "the event arrives")
        assert hook.requests[0]["authorization"] == field


def test_signatures_through_a_rotation(org, topic, receiver, subscribe, secret):
    old, new = b"0123456789abcdef", b"fedcba9876543210"
    encoded = {
        "old": "whsec_" + base64.b64encode(old).decode(),
        "new": "whsec_" + base64.b64encode(new).decode(),
    }
    called = secret(old=encoded["old"])
    hook = receiver.endpoint()
    subscribe(sink={"url": hook.url, "signing": {"secret": called}})
    org.publish(topic)
    eventually(lambda: len(hook) == 1, "the event arrives")
    assert hook.requests[0]["webhook-signature"] == signature(old, hook.requests[0])

    both = {"old": "<hidden>", "new": encoded["new"]}
    org.put(f"{SECRET}/{called}", {"secrets": both}, expect=201)

    def signed_by_both():
        org.publish(topic)
        parts = hook.requests[-1]["webhook-signature"].split()
        return set(parts) == {signature(old, hook.requests[-1]), signature(new, hook.requests[-1])}

    eventually(signed_by_both, "both keys sign")


def test_a_secret_in_use_stays_and_a_missing_one_is_refused(org, topic, receiver, subscribe, secret):
    missing = {"url": "http://127.0.0.1:1/", "signing": {"secret": "none"}}
    refused = org.post(
        "/v1/event/subscriptions",
        {"name": "x", "topic": topic, "filters": [], "sink": missing},
        expect=422,
    ).json()
    assert refused["details"][0]["field"] == "sink.signing.secret"
    called = secret(token="t")
    user = subscribe(sink={"url": receiver.endpoint().url, "auth": {"secret": called}})
    assert user in org.delete(f"{SECRET}/{called}", expect=409).json()["message"]


@pytest.mark.parametrize(
    "values, field",
    [
        (None, "secrets"),
        ({"a b": "x"}, "secrets"),
        ({"a": 1}, "secrets.a"),
        ({"a": "x" * 70_000}, "secrets"),
        ({"a": "<hidden>"}, None),
    ],
)
def test_bad_secrets(org, name, values, field):
    body = {"name": name("bad")} | ({"secrets": values} if values is not None else {})
    if field is None:  # of a new one, that is a value as any other
        org.post(SECRET, body, expect=201)
        org.delete(f"{SECRET}/{body['name']}", expect=204)
        return
    answer = org.post(SECRET, body, expect=422).json()
    assert answer["details"][0]["field"] == field


def test_idempotency_key_of_a_secret(org, name):
    body, headers = {"name": name("once"), "secrets": {"a": "x"}}, {"Idempotency-Key": name("key")}
    first = org.post(SECRET, body, headers=headers, expect=201).json()
    assert org.post(SECRET, body, headers=headers, expect=201).json()["id"] == first["id"]
    body["secrets"] = {"a": "y"}
    org.post(SECRET, body, headers=headers, expect=422)
    org.delete(f"{SECRET}/{body['name']}", expect=204)
