"""The event topics are ordinary Kafka topics in the CloudEvents binding: any client may read and
write them. Records of the internal topics count only under the services' key."""

import json
import uuid

import pytest
from lib import kafka
from lib.client import event
from lib.wait import eventually, throughout


def kafka_name(org, topic) -> str:
    return f"{org.org_name}.{topic}"


def test_any_client_reads_an_event(stack, org, topic):
    sent = event(
        "order.created", id="k-1", data={"a": 1}, subject="7", tenant="seven", partitionkey="key-1"
    )
    answer = org.request(
        "POST",
        f"/v1/topics/{topic}/events",
        data=json.dumps(sent).encode(),
        headers={"Content-Type": "application/cloudevents+json"},
        expect=202,
    )
    (result,) = answer.json()["results"]
    record = kafka.read_one(
        stack.kafka_brokers, kafka_name(org, topic), result["partition"], result["offset"]
    )
    headers = kafka.headers_of(record)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == b"k-1"
    assert headers["ce_type"] == b"order.created"
    assert headers["ce_source"] == b"/tests"
    assert headers["ce_subject"] == b"7"
    assert headers["ce_tenant"] == b"seven"
    assert headers["content-type"] == b"application/json"
    assert record.key() == b"key-1"
    assert json.loads(record.value()) == {"a": 1}


def test_event_of_any_client_is_delivered(stack, org, topic, hook):
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"straight-1"),
        ("ce_type", b"order.created"),
        ("ce_source", b"/elsewhere"),
        ("ce_subject", "é %".encode()),
        ("content-type", b"application/octet-stream"),
    ]
    body = bytes(range(256))
    kafka.produce(stack.kafka_brokers, kafka_name(org, topic), value=body, headers=headers)
    eventually(lambda: len(hook) == 1, "it is delivered")
    request = hook.requests[0]
    assert request["ce-id"] == "straight-1"
    assert request["ce-subject"] == "%C3%A9%20%25"
    assert request["content-type"] == "application/octet-stream"
    assert request.body == body


def test_structured_record_of_any_client_is_delivered(stack, org, topic, hook):
    value = json.dumps(event("order.created", id="straight-2", data={"a": 1})).encode()
    headers = [("content-type", b"application/cloudevents+json")]
    kafka.produce(stack.kafka_brokers, kafka_name(org, topic), value=value, headers=headers)
    eventually(lambda: len(hook) == 1, "it is delivered")
    assert hook.event_ids == ["straight-2"]
    assert json.loads(hook.requests[0].body) == {"a": 1}


def test_record_that_is_no_event_stops_nothing(stack, org, topic, hook):
    kafka.produce(stack.kafka_brokers, kafka_name(org, topic), value=b"\x00garbage")
    kafka.produce(stack.kafka_brokers, kafka_name(org, topic), value=None, key=b"tombstone")
    org.publish(topic, id="after")
    eventually(lambda: hook.event_ids == ["after"], "the event after it is delivered")


def test_events_of_one_key_share_a_partition(org, name):
    topic = name("keyed")
    org.create_topic(topic, partitions=4)
    by_key = {}
    for number in range(60):
        key = f"key-{number % 6}"
        by_key.setdefault(key, set()).add(org.publish(topic, partitionkey=key)["partition"])
    assert all(len(partitions) == 1 for partitions in by_key.values())
    assert len(set.union(*by_key.values())) > 1


# ---- forged records


def wrong_mac(headers):
    return [(n, bytes([v[0] ^ 1]) + v[1:] if n == "mac" else v) for n, v in headers]


def without_mac(headers):
    return [(n, v) for n, v in headers if n != "mac"]


FORGE = {"wrong mac": wrong_mac, "no mac": without_mac}


def find_record(stack, topic: str, text: bytes):
    """The newest record that holds the text."""
    records = [r for r in kafka.read_all(stack.kafka_brokers, topic) if text in (r.value() or b"")]
    assert records, f"no record of {topic} holds {text}"
    return records[-1]


def rejected(stack, service: str) -> float:
    return stack.metric(service, "dispatch_rpc_rejected_total", side="server")


def refused(stack, service: str, of: str) -> float:
    return stack.metric(service, "dispatch_state_records_refused_total", service=of)


def replace(value: bytes, old: str, new: str) -> bytes:
    assert len(old) == len(new) and old.encode() in value
    return value.replace(old.encode(), new.encode())


@pytest.mark.parametrize("how", FORGE)
@pytest.mark.parametrize("service", ["event-manager", "identity"])
def test_forged_request_changes_nothing(stack, org, admin, service, how):
    """A real request, to create another object."""
    real, forged = (uuid.uuid4().hex[:12] for _ in range(2))
    path = "/v1/topics" if service == "event-manager" else "/v1/iam/policy"
    body = {"name": real}
    if service == "identity":
        body["rules"] = [{"subjects": ["key:nobody"], "actions": ["read"], "resources": ["*"]}]
    org.post(path, body, expect=201)
    record = find_record(stack, f"dispatch.rpc.{service}", real.encode())
    before = rejected(stack, service)
    kafka.produce(
        stack.kafka_brokers,
        record.topic(),
        key=uuid.uuid4().bytes,
        value=replace(record.value(), real, forged),
        headers=FORGE[how](record.headers()),
    )
    eventually(lambda: rejected(stack, service) > before, f"{service} counts it")
    throughout(lambda: org.get(f"{path}/{forged}").status_code == 404, "nothing is made", 0.5)


def test_changed_request_under_its_own_mac_changes_nothing(stack, org):
    """Like the above, but the key (the correlation id) and the mac are those of the real one."""
    real, forged = (uuid.uuid4().hex[:12] for _ in range(2))
    org.post("/v1/topics", {"name": real, "partitions": 1}, expect=201)
    record = find_record(stack, "dispatch.rpc.event-manager", real.encode())
    before = rejected(stack, "event-manager")
    kafka.produce(
        stack.kafka_brokers,
        record.topic(),
        key=record.key(),
        value=replace(record.value(), real, forged),
        headers=record.headers(),
    )
    eventually(lambda: rejected(stack, "event-manager") > before, "it is counted")
    throughout(lambda: org.get(f"/v1/topics/{forged}").status_code == 404, "nothing is made", 0.5)


@pytest.mark.parametrize("how", FORGE)
def test_forged_identity_state_makes_no_principal(stack, org, name, how):
    """A key's record, with another scope and a higher version."""
    made = org.post("/v1/iam/keys", {"name": name(), "scopes": ["read"]}, expect=201).json()
    client = org.with_key(made["key"])
    client.get("/v1/topics", expect=200)
    record = find_record(stack, "dispatch.state.identity", made["id"].encode())
    assert b'"read"' in record.value()
    before = refused(stack, "api-gateway", "identity")
    kafka.produce(
        stack.kafka_brokers,
        record.topic(),
        key=record.key(),
        value=replace(record.value(), '"read"', '"admi"').replace(b'"admi"', b'"*"   '),
        headers=FORGE[how](record.headers()),
    )
    eventually(lambda: refused(stack, "api-gateway", "identity") > before, "the gateway counts it")
    client.post("/v1/topics", {"name": name()}, expect=403)
    client.get("/v1/topics", expect=200)


@pytest.mark.parametrize("how", FORGE)
def test_forged_event_manager_state_moves_no_subscription(
    stack, org, topic, receiver, subscribe, how
):
    """A subscription's record with another sink; function-manager and gateway must not take it."""
    mine, thief = receiver.endpoint(), receiver.endpoint()
    # Same length, so that the bytes around stay right.
    padded_mine, padded_thief = (f"{e.url}?{'x' * (60 - len(e.url))}" for e in (mine, thief))
    called = subscribe(padded_mine)
    org.publish(topic, id="before")
    org.settled(called, matched=1)
    record = find_record(stack, "dispatch.state.event-manager", called.encode())
    before = {s: refused(stack, s, "event-manager") for s in ("api-gateway", "function-manager")}
    kafka.produce(
        stack.kafka_brokers,
        record.topic(),
        key=record.key(),
        value=replace(record.value(), padded_mine, padded_thief),
        headers=FORGE[how](record.headers()),
    )
    for service, count in before.items():
        eventually(
            lambda service=service, count=count: refused(stack, service, "event-manager") > count,
            f"{service} counts it",
        )
    org.publish(topic, id="after")
    org.settled(called, matched=2)
    assert len(thief) == 0
    assert sorted(mine.event_ids) == ["after", "before"]
    assert org.subscription(called)["sink"]["url"] == padded_mine


def test_null_record_deletes_no_subscription(stack, org, topic, hook):
    record = find_record(stack, "dispatch.state.event-manager", hook.subscription.encode())
    kafka.produce(stack.kafka_brokers, record.topic(), key=record.key(), value=None)
    throughout(lambda: org.subscription(hook.subscription), "it is still there", 0.5)
    org.publish(topic, id="1")
    org.settled(hook.subscription, matched=1)
    assert hook.event_ids == ["1"]


@pytest.mark.parametrize("forged", [b"forged", None], ids=["garbage", "null"])
def test_overwritten_state_is_published_again(stack, topic, hook, forged):
    """Compaction keeps only the last record of a key: if that stayed the forged one, the object
    would be gone for whoever reads the topic from its beginning."""
    record = find_record(stack, "dispatch.state.event-manager", hook.subscription.encode())
    kafka.produce(stack.kafka_brokers, record.topic(), key=record.key(), value=forged)

    def newest():
        records = kafka.read_all(stack.kafka_brokers, record.topic())
        return [r for r in records if r.key() == record.key()][-1].value()

    eventually(
        lambda: newest() not in (forged, None), "the object's record is the last one again", 5
    )
