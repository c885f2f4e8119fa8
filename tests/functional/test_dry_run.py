"""POST ...?dryRun=true: what a subscription would match of the last events; it makes nothing."""

import pytest
from lib.client import event
from lib.kafka import produce

SUBSCRIPTIONS = "/v1/subscriptions"


@pytest.fixture(scope="module")
def filled(stack, org, name):
    """A topic of two partitions: 60 events, every third of priority "high", and a plain record."""
    topic = name("dry")
    org.create_topic(topic, partitions=2)
    events = [
        event("even" if i % 2 == 0 else "odd", priority="high" if i % 3 == 0 else str(i % 10))
        for i in range(60)
    ]
    org.publish_batch(topic, events)
    produce(stack.kafka_brokers, f"{org.org_name}.{topic}", value=b"plain")
    return topic, events


def dry_run(org, topic, query="dryRun=true", expect=200, **fields):
    body = {"name": "dry", "topic": topic, "sink": {"url": "http://127.0.0.1:9/"}, **fields}
    return org.post(f"{SUBSCRIPTIONS}?{query}", body, expect=expect).json()


def test_counts_matches_and_makes_nothing(org, filled):
    topic, events = filled
    report = dry_run(org, topic, eventType="even", filters=[])
    assert report["complete"] and report["scanned"] == 61 and report["matched"] == 30, report
    assert report["notCloudEvents"] == 1 and report["evaluationErrors"]["events"] == 0
    ids = {e["id"] for e in events if e["type"] == "even"}
    assert len(report["examples"]) == 5
    assert {example["event"]["id"] for example in report["examples"]} <= ids
    org.get(f"{SUBSCRIPTIONS}/dry", expect=404)


def test_errors_of_evaluation_are_counted(org, filled):
    topic, _ = filled
    report = dry_run(org, topic, filters=[{"sql": "priority > 5"}])
    assert report["evaluationErrors"] == {"events": 20, "kinds": {"cast": 20}}, report


def test_the_sample_bounds_it(org, filled):
    topic, _ = filled
    report = dry_run(org, topic, "dryRun=true&sample=7", filters=[])
    assert report["sample"] == report["scanned"] == 7


@pytest.mark.parametrize(
    ("query", "field"),
    [("dryRun=yes", "dryRun"), ("dryRun=true&sample=0", "sample"), ("dryRun=true&sample=x", "sample")],
)
def test_bad_queries_name_the_field(org, filled, query, field):
    refused = dry_run(org, filled[0], query, expect=400, filters=[])
    assert refused["details"][0]["field"] == field


def test_bad_subscriptions_are_refused_as_by_a_create(org, filled, name):
    refused = dry_run(org, filled[0], expect=422, filters=[{"sql": "type ="}])
    assert refused["details"][0]["field"].startswith("filters[0]")
    refused = dry_run(org, name("missing"), expect=422, filters=[])
    assert refused["details"][0]["field"] == "topic"


def test_an_empty_topic_matches_nothing(org, name):
    topic = name("empty")
    org.create_topic(topic)
    report = dry_run(org, topic, filters=[])
    assert report["complete"] and report["scanned"] == report["matched"] == 0
    assert report["examples"] == [] and "oldest" not in report
