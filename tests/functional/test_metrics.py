"""The metric families that boards and rules made for other tools ask for, and those of ours: their
names, labels and values, as the four services expose them."""

import re
import time

import pytest
from lib.kafka import read_all
from lib.stack import SERVICES
from lib.wait import eventually

# Family -> its labels. kafka_exporter, kminion, kafka-lag-exporter, Burrow.
OF_OTHERS = {
    "kafka_consumergroup_lag": {"consumergroup", "topic", "partition"},
    "kafka_consumergroup_lag_sum": {"consumergroup", "topic"},
    "kafka_consumergroup_current_offset": {"consumergroup", "topic", "partition"},
    "kafka_consumergroup_members": {"consumergroup"},
    "kafka_topic_partition_current_offset": {"topic", "partition"},
    "kafka_topic_partition_oldest_offset": {"topic", "partition"},
    "kminion_kafka_consumer_group_topic_lag": {"group_id", "topic_name"},
    "kminion_kafka_consumer_group_topic_partition_lag": {"group_id", "topic_name", "partition_id"},
    "kafka_consumergroup_group_lag": {"cluster_name", "group", "topic", "partition"},
    "kafka_consumergroup_group_lag_seconds": {"cluster_name", "group", "topic", "partition"},
    "kafka_consumergroup_group_max_lag": {"cluster_name", "group"},
    "kafka_consumergroup_group_max_lag_seconds": {"cluster_name", "group"},
    "kafka_consumergroup_group_sum_lag": {"cluster_name", "group"},
    "kafka_consumergroup_group_topic_sum_lag": {"cluster_name", "group", "topic"},
    "burrow_kafka_consumer_lag_total": {"cluster", "consumer_group"},
    "burrow_kafka_consumer_status": {"cluster", "consumer_group"},
    "burrow_kafka_consumer_partition_lag": {"cluster", "consumer_group", "topic", "partition"},
}
GROUP_LABELS = ("consumergroup", "group_id", "group", "consumer_group")


def labels_of(sample: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample))


class Samples:
    """Of event-manager, those of one consumer group or topic."""

    def __init__(self, stack):
        self.all = [
            (sample.partition("{")[0], labels_of(sample), value)
            for sample, value in stack.metrics("event-manager").items()
        ]

    def named(self, family: str) -> list[tuple[dict, float]]:
        return [(labels, value) for name, labels, value in self.all if name == family]

    def of_group(self, family: str, group: str) -> list[float]:
        return [
            value
            for labels, value in self.named(family)
            if any(labels.get(key) == group for key in GROUP_LABELS)
        ]


@pytest.fixture
def waiting(stack, org, topic, hook):
    """A paused subscription with three unread events: (its group, when the first was written)."""
    org.post(f"/v1/event/subscriptions/{hook.subscription}/pause", {}, expect=200)
    published = [org.publish(topic) for _ in range(3)]
    records = read_all(stack.kafka_brokers, f"{org.org_name}.{topic}")
    (first,) = [r for r in records if r.offset() == published[0]["offset"]]
    return f"{org.org_name}.{hook.subscription}", first.timestamp()[1] / 1000


def test_families_of_other_tools_are_complete(stack, waiting):
    group, first = waiting

    def told():
        asked = time.time()
        samples = Samples(stack)
        assert samples.of_group("kafka_consumergroup_lag", group) == [3]
        return samples, asked, time.time()

    samples, asked, answered = eventually(told, "the metrics are of the last look", 15)
    for family, labels in OF_OTHERS.items():
        found = samples.named(family)
        assert found, f"{family} is not exposed"
        assert all(set(have) == labels for have, _ in found), (family, found[0])
    for family in OF_OTHERS:
        if family.endswith("lag_seconds"):
            (age,) = samples.of_group(family, group)
            assert asked - 0.002 < first + age <= answered, f"{family}: {age}"  # whole milliseconds
        elif "lag" in family:
            assert samples.of_group(family, group) == [3], family
    assert samples.of_group("burrow_kafka_consumer_status", group) == [1], "paused is not behind"
    (position,) = samples.of_group("kafka_consumergroup_current_offset", group)
    ends = [v for labels, v in samples.named("kafka_topic_partition_current_offset")
            if labels["topic"].startswith(group.partition(".")[0] + ".")]  # fmt: skip
    assert position + 3 in ends


def test_nothing_unread_has_no_age(stack, org, topic, hook):
    org.publish(topic)
    org.settled(hook.subscription, matched=1)
    group = f"{org.org_name}.{hook.subscription}"

    def told():
        samples = Samples(stack)
        for family in ("kafka_consumergroup_group_lag_seconds", "burrow_kafka_consumer_partition_lag"):
            assert samples.of_group(family, group) == [0], family
        return True

    eventually(told, "the metrics are of the last look", 15)


@pytest.mark.parametrize("service", SERVICES)
def test_no_family_is_told_twice(stack, service):
    text = stack.admin(service, "/metrics").text
    types = re.findall(r"^# TYPE (\S+)", text, flags=re.M)
    assert len(types) == len(set(types)), [name for name in types if types.count(name) > 1]
    samples = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples))


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_says_that_it_is_ready(stack, service):
    assert stack.metric(service, "dispatch_ready") == 1


def test_state_of_other_services_is_heard(stack):
    """Each reads the others' state from Kafka, where they write once a second."""
    wanted = {
        "event-manager": {"event-manager", "identity", "function-manager"},
        "api-gateway": {"event-manager", "identity", "function-manager"},
        "function-manager": {"event-manager"},
    }
    for service, others in wanted.items():
        heard = {
            labels_of(sample)["service"]: value
            for sample, value in stack.metrics(service).items()
            if sample.startswith("dispatch_state_heard_seconds{")
        }
        assert others <= heard.keys(), (service, heard)
        assert all(abs(time.time() - value) < 10 for value in heard.values()), (service, heard)
