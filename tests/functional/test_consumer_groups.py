"""Any consumer group of the cluster, held against what Kafka's own clients committed."""

import pytest
from conftest import make_key
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from lib.kafka import produce
from lib.wait import eventually

GROUPS = "/v1/consumer-groups"


@pytest.fixture
def foreign(stack, name):
    """A group that is not ours, one event of three behind: (its name, the topic, the consumer)."""
    group, topic = name("foreign"), name("foreign.topic")
    kafka = AdminClient({"bootstrap.servers": stack.kafka_brokers})
    kafka.create_topics([NewTopic(topic, 1)])[topic].result(20)
    for value in (b"a", b"b", b"c"):
        produce(stack.kafka_brokers, topic, value=value)
    consumer = Consumer(
        {
            "bootstrap.servers": stack.kafka_brokers,
            "group.id": group,
            "client.id": "somebody",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    eventually(lambda: consumer.poll(0.1) is not None, "the foreign group reads", 30)
    consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    yield group, topic, consumer
    consumer.close()


def test_a_foreign_group_is_told_as_kafka_knows_it(admin, foreign):
    group, topic, consumer = foreign

    def told():
        consumer.poll(0)
        answer = admin.get(f"{GROUPS}/{group}", expect=200).json()
        assert answer["state"] == "stable" and answer["members"] == ["somebody"], answer
        (place,) = answer["partitions"]
        assert place["topic"] == topic and place["member"] == "somebody", place
        assert (place["committed"], place["end"], place["lag"]) == (2, 3, 1), place
        assert answer["lag"] == 1 and 0 <= place["oldestUnreadSeconds"] < 120, answer
        return True

    eventually(told, "the group is told", 20)
    rows = {row["name"]: row for row in admin.get(GROUPS, expect=200).json()}
    assert rows[group]["members"] == 1 and rows[group]["lag"] == 1, rows[group]
    assert rows["dispatch.event-manager"]["state"] == "stable"


def test_a_group_that_nobody_knows(admin):
    answer = admin.get(f"{GROUPS}/nobody-knows-it", expect=404).json()
    assert "nobody-knows-it" in answer["message"]


def test_who_may_not_act_everywhere_sees_none(admin, fresh_org, name):
    for path in (GROUPS, f"{GROUPS}/dispatch.event-manager"):
        assert "every organisation" in fresh_org.get(path, expect=403).json()["message"]
    some = make_key(admin, name("topics-only"), ["read:topic/*"], **{"global": True})
    some.get(GROUPS, expect=403)
