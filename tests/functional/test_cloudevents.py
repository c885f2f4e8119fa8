"""CloudEvents 1.0 in and out: every mode, every byte, and the official SDK on both ends."""

import base64
import datetime
import json

import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_http_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_binary_event as from_kafka_binary_event,
)
from cloudevents.core.v1.event import CloudEvent

from lib import kafka
from lib.client import event
from lib.wait import eventually

EVERY_BYTE = bytes(range(256)) * 3


def first_of(endpoint):
    eventually(lambda: len(endpoint) >= 1, "the webhook is called")
    return endpoint.requests[0]


def publish(org, topic, body: bytes, headers: dict, query: str = "", expect: int = 202):
    return org.request(
        "POST", f"/v1/topics/{topic}/events{query}", data=body, headers=headers, expect=expect
    ).json()


BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}


def test_binary_mode_keeps_every_byte(org, topic, hook):
    publish(org, topic, EVERY_BYTE, {**BINARY, "Content-Type": "application/octet-stream"})
    request = first_of(hook)
    assert request.body == EVERY_BYTE
    assert request["content-type"] == "application/octet-stream"


def test_binary_mode_does_not_reformat_json(org, topic, hook):
    body = b'{ "b":1,\t"a" : 1.0e0, "big": 12345678901234567890123, "b":2 }\n'
    publish(org, topic, body, {**BINARY, "Content-Type": "application/json; charset=utf-8"})
    request = first_of(hook)
    assert request.body == body
    assert request["content-type"] == "application/json; charset=utf-8"


def test_binary_mode_without_data(org, topic, hook):
    publish(org, topic, b"", BINARY)
    request = first_of(hook)
    assert request.body == b""
    assert "content-type" not in request.headers


def test_extension_attributes_travel(org, topic, hook):
    publish(
        org, topic, b"x", {**BINARY, "ce-tenant": "seven", "ce-attempts": "3", "ce-flag": "true"}
    )
    request = first_of(hook)
    assert (request["ce-tenant"], request["ce-attempts"], request["ce-flag"]) == (
        "seven",
        "3",
        "true",
    )


def test_percent_encoding_in_headers(stack, org, topic, hook):
    sent = "Euro%20%E2%82%AC%20%F0%9F%98%80%20%22q%22%20100%25"
    (result,) = publish(org, topic, b"x", {**BINARY, "ce-subject": sent})["results"]
    record = record_of(stack, org, result)
    assert kafka.headers_of(record)["ce_subject"].decode() == 'Euro € 😀 "q" 100%'
    assert first_of(hook)["ce-subject"] == sent


def record_of(stack, org, result):
    """The Kafka record of a published event."""
    return kafka.read_one(
        stack.kafka_brokers,
        f"{org.org_name}.{result['topic']}",
        result["partition"],
        result["offset"],
    )


def test_structured_mode_json_data(org, topic, hook):
    body = json.dumps(
        event("t", id="1", data={"a": [1, 2.5, None, "é"]}, tenant="seven", number=7)
    ).encode()
    publish(org, topic, body, {"Content-Type": "application/cloudevents+json; charset=utf-8"})
    request = first_of(hook)
    assert json.loads(request.body) == {"a": [1, 2.5, None, "é"]}
    assert request["content-type"] == "application/json"
    assert (request["ce-tenant"], request["ce-number"]) == ("seven", "7")


def test_structured_mode_binary_data(org, topic, hook):
    sent = event(
        "t", id="1", datacontenttype="image/png", data_base64=base64.b64encode(EVERY_BYTE).decode()
    )
    publish(org, topic, json.dumps(sent).encode(), {"Content-Type": "application/cloudevents+json"})
    request = first_of(hook)
    assert request.body == EVERY_BYTE
    assert request["content-type"] == "image/png"


def test_structured_mode_text_data(org, topic, hook):
    sent = event("t", id="1", datacontenttype="text/plain", data="just text é")
    publish(org, topic, json.dumps(sent).encode(), {"Content-Type": "application/cloudevents+json"})
    assert first_of(hook).body == "just text é".encode()


def test_batch_mode_publishes_every_event_in_order(org, topic, hook):
    ids = [f"e{i:03}" for i in range(200)]
    results = org.publish_batch(topic, [event("t", id=i, data={"id": i}) for i in ids])
    assert [result["id"] for result in results] == ids
    first = results[0]["offset"]
    assert [result["offset"] for result in results] == list(range(first, first + 200))
    eventually(lambda: len(hook) == 200, "all are delivered")
    assert sorted(hook.event_ids) == ids
    assert all(json.loads(r.body) == {"id": r.event_id} for r in hook.requests)


def test_empty_batch_publishes_nothing(org, topic):
    assert org.publish_batch(topic, []) == []


def test_one_faulty_event_refuses_its_batch(org, topic, hook):
    bad = event("t", id="bad")
    del bad["source"]
    answer = publish(
        org,
        topic,
        json.dumps([event("t"), bad, event("t")]).encode(),
        {"Content-Type": "application/cloudevents-batch+json"},
        expect=400,
    )
    assert any(
        "source" in detail["field"] and "1" in detail["field"] for detail in answer["details"]
    )
    org.publish(topic, id="after")
    eventually(lambda: hook.event_ids == ["after"], "only the event after it is delivered")


def test_raw_body_with_type_becomes_an_event(org, topic, hook):
    result = publish(
        org,
        topic,
        EVERY_BYTE,
        {"Content-Type": "application/x-thing"},
        "?type=thing.made&subject=a%20b",
    )["results"][0]
    request = first_of(hook)
    assert request.body == EVERY_BYTE
    assert request["content-type"] == "application/x-thing"
    assert request["ce-type"] == "thing.made"
    assert request["ce-subject"] == "a%20b"
    assert request["ce-id"] == result["id"]
    assert request["ce-source"]
    sent = datetime.datetime.fromisoformat(request["ce-time"])
    assert abs((datetime.datetime.now(datetime.UTC) - sent).total_seconds()) < 60


def test_raw_body_with_id_and_source(org, topic, hook):
    publish(
        org, topic, b"{}", {"Content-Type": "application/json"}, "?type=t&id=my-id&source=/mine"
    )
    request = first_of(hook)
    assert (request["ce-id"], request["ce-source"]) == ("my-id", "/mine")


def test_event_0_1_is_upgraded(org, topic, hook):
    old = {
        "cloudEventsVersion": "0.1",
        "eventID": "old-1",
        "source": "/old",
        "eventType": "old.type",
        "contentType": "application/json",
        "data": {"a": 1},
    }
    publish(org, topic, json.dumps(old).encode(), {"Content-Type": "application/cloudevents+json"})
    request = first_of(hook)
    assert request["ce-specversion"] == "1.0"
    assert (request["ce-id"], request["ce-type"], request["ce-source"]) == (
        "old-1",
        "old.type",
        "/old",
    )
    assert json.loads(request.body) == {"a": 1}


@pytest.mark.parametrize("missing", ["ce-id", "ce-source", "ce-type"])
def test_binary_event_without_a_required_attribute(org, topic, missing):
    headers = {name: value for name, value in BINARY.items() if name != missing}
    answer = publish(org, topic, b"x", headers, expect=400)
    assert missing.removeprefix("ce-") in json.dumps(answer["details"])


def test_body_that_is_no_event_and_has_no_type(org, topic):
    answer = publish(org, topic, b"{}", {"Content-Type": "application/json"}, expect=400)
    assert "type" in answer["message"]


def test_structured_event_that_is_no_json(org, topic):
    publish(org, topic, b"{", {"Content-Type": "application/cloudevents+json"}, expect=400)


def test_unknown_event_format(org, topic):
    publish(org, topic, b"<e/>", {"Content-Type": "application/cloudevents+xml"}, expect=415)


def test_event_of_exactly_the_limit_is_delivered(org, topic, hook):
    """1,000,000 bytes are taken with room for the attributes; 990,000 of data fit."""
    data = b"x" * 990_000
    publish(org, topic, data, {**BINARY, "Content-Type": "text/plain"})
    assert first_of(hook).body == data


def test_event_over_the_limit(org, topic):
    publish(org, topic, b"x" * 1_000_001, {**BINARY, "Content-Type": "text/plain"}, expect=413)


def test_batch_of_more_than_1000_events(org, topic):
    body = json.dumps([event("t") for _ in range(1001)]).encode()
    publish(org, topic, body, {"Content-Type": "application/cloudevents-batch+json"}, expect=413)


# ---- the SDK


def sdk_event(**more) -> CloudEvent:
    attributes = {
        "specversion": "1.0",
        "id": "sdk-1",
        "source": "/sdk/€",
        "type": "sdk.made",
        "subject": 'a "b" %',
        "time": datetime.datetime(2026, 5, 4, 3, 2, 1, tzinfo=datetime.UTC),
        "datacontenttype": "application/json",
        "tenant": "seven",
        **more,
    }
    return CloudEvent(attributes=attributes, data={"a": 1, "b": "é"})


def received_by_sdk(request):
    return from_http_event(HTTPMessage(headers=request.headers, body=request.body))


def assert_same(got, sent):
    for attribute, value in sent.get_attributes().items():
        assert got.get_attributes()[attribute] == value, attribute
    assert got.get_data() == sent.get_data()


@pytest.mark.parametrize("encode", [to_binary_event, to_structured_event])
@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_sdk_publishes_and_receives(org, topic, receiver, subscribe, encode, mode):
    endpoint = receiver.endpoint()
    subscribe(sink={"url": endpoint.url, "mode": mode})
    sent = sdk_event()
    message = encode(sent)
    publish(org, topic, message.body, message.headers)
    request = first_of(endpoint)
    if mode == "structured":
        assert request["content-type"].startswith("application/cloudevents+json")
    assert_same(received_by_sdk(request), sent)


def test_structured_sink_gets_binary_data_as_base64(org, topic, receiver, subscribe):
    endpoint = receiver.endpoint()
    subscribe(sink={"url": endpoint.url, "mode": "structured"})
    publish(org, topic, EVERY_BYTE, {**BINARY, "Content-Type": "application/octet-stream"})
    got = json.loads(first_of(endpoint).body)
    assert base64.b64decode(got["data_base64"]) == EVERY_BYTE
    assert "data" not in got


def test_sdk_reads_the_kafka_record(stack, org, topic):
    sent = sdk_event(partitionkey="key-7")
    message = to_structured_event(sent)
    (result,) = publish(org, topic, message.body, message.headers)["results"]
    record = record_of(stack, org, result)
    got = from_kafka_binary_event(
        KafkaMessage(headers=kafka.headers_of(record), key=record.key(), value=record.value())
    )
    assert record.key() == b"key-7"
    attributes = got.get_attributes()
    for attribute, value in sent.get_attributes().items():
        seen = attributes[attribute]
        assert (seen.decode() if isinstance(seen, bytes) else seen) == value, attribute
    assert got.get_data() == sent.get_data()
