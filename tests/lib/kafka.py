"""Kafka as any client sees it, through confluent-kafka."""

import time

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient


def open_reader(brokers: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "tests-reader",  # nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )


def topics(brokers: str) -> set[str]:
    consumer = open_reader(brokers)
    try:
        return set(consumer.list_topics(timeout=10).topics)
    finally:
        consumer.close()


def read_all(brokers: str, topic: str, bound: float = 30) -> list[Message]:
    """Every record from the beginning to the end that the topic has now, in order by partition."""
    consumer = open_reader(brokers)
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        open_partitions = set(partitions)
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        records = []
        deadline = time.monotonic() + bound
        while open_partitions:
            assert time.monotonic() < deadline, f"could not read {topic} to its end in {bound} s"
            for message in consumer.consume(5000, 0.2):
                if message.error() is None:
                    records.append(message)
                elif message.error().name() == "_PARTITION_EOF":
                    open_partitions.discard(message.partition())
                else:
                    raise RuntimeError(f"reading {topic}: {message.error()}")
        return sorted(records, key=lambda m: (m.partition(), m.offset()))
    finally:
        consumer.close()


def read_one(brokers: str, topic: str, partition: int, offset: int, bound: float = 20) -> Message:
    consumer = open_reader(brokers)
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(bound)
        assert message is not None and message.error() is None, (
            f"no record {topic} {partition}:{offset}"
        )
        return message
    finally:
        consumer.close()


def produce(
    brokers: str, topic: str, *, key=None, value=None, headers=(), partition: int = -1
) -> tuple[int, int]:
    """One record, acknowledged. Returns partition and offset."""
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "message.timeout.ms": 15000})
    reports = []
    producer.produce(
        topic,
        key=key,
        value=value,
        headers=list(headers),
        partition=partition,
        on_delivery=lambda error, message: reports.append((error, message)),
    )
    producer.flush(20)
    assert reports and reports[0][0] is None, f"producing to {topic}: {reports}"
    return reports[0][1].partition(), reports[0][1].offset()


def delete_records(brokers: str, topic: str, partition: int, before: int) -> None:
    """As retention does: records below `before` are gone."""
    admin = AdminClient({"bootstrap.servers": brokers})
    futures = admin.delete_records([TopicPartition(topic, partition, before)])
    for future in futures.values():
        future.result(timeout=20)


def headers_of(message: Message) -> dict[str, bytes]:
    return dict(message.headers() or [])
