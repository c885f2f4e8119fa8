"""What a tool like Burrow says of a consumer group: its rules on the offsets that Kafka has, looked
at again and again (a broker's own view: no service of ours is asked)."""

import dataclasses
import time

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


@dataclasses.dataclass(frozen=True)
class Look:
    time: float
    committed: int
    end: int

    @property
    def lag(self) -> int:
        return max(0, self.end - self.committed)


class Burrow:
    """The looks at one group: a ring of the last commits that changed, as Burrow keeps it."""

    INTERVALS = 10

    def __init__(self, brokers: str, group: str):
        self.admin = AdminClient({"bootstrap.servers": brokers})
        self.group = group
        self.looks: dict[tuple[str, int], list[Look]] = {}

    def look(self, topics=None) -> dict[tuple[str, int], Look]:
        """One more, at what the group has committed in these topics, or in all."""
        asked = [ConsumerGroupTopicPartitions(self.group)]
        found = self.admin.list_consumer_group_offsets(asked)[self.group].result(20)
        committed = {
            (p.topic, p.partition): p.offset
            for p in found.topic_partitions
            if p.offset >= 0 and (topics is None or p.topic in topics)
        }
        # The ends after the offsets: lag is never told too low.
        wanted = {TopicPartition(*key): OffsetSpec.latest() for key in committed}
        ends = {
            (p.topic, p.partition): future.result(20).offset
            for p, future in (self.admin.list_offsets(wanted) if wanted else {}).items()
        }
        now = time.monotonic()
        latest = {key: Look(now, offset, ends[key]) for key, offset in committed.items()}
        for key, one in latest.items():
            ring = self.looks.setdefault(key, [])
            ring.append(one)
            del ring[: -self.INTERVALS]
        return latest

    def status(self, key: tuple[str, int]) -> str:
        """Of a partition: OK, WARN, STALL, STOP or REWIND."""
        ring = self.looks[key]
        current = ring[-1].lag
        if len(ring) < self.INTERVALS or current == 0:
            return "OK"
        offsets = [one.committed for one in ring]
        for i in range(1, len(ring)):
            if offsets[i] < offsets[i - 1] and max(offsets[i:]) < offsets[i - 1]:
                return "REWIND"
        if any(one.lag == 0 for one in ring):
            return "OK"
        if min(offsets) == max(offsets):
            return "STALL"
        return "WARN" if all(a.lag <= b.lag for a, b in zip(ring, ring[1:])) else "OK"

    def sick(self) -> dict[tuple[str, int], str]:
        """Partitions that are not OK."""
        found = {key: self.status(key) for key in self.looks}
        return {key: status for key, status in found.items() if status != "OK"}
