"""What the services take while nothing happens."""

from collections import Counter
from pathlib import Path

import pytest
from lib.wait import eventually

# Connections to Kafka, three or four threads each: what is quiet shares one (docs/decisions/0024).
CONNECTIONS = {"event-manager": 6, "function-manager": 6, "api-gateway": 4, "identity": 3}
# Connections to PostgreSQL are that many at most while several looks fall together; the last three
# are function-manager's.
OTHERS = {"pg": 4, "kafka-worker": 1, "builds": 4, "files": 1, "egress": 1}


def names_of(task: Path) -> list[str]:
    names = []
    for thread in task.iterdir():
        try:
            names.append((thread / "comm").read_text().strip())
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended since it was listed
    return names


@pytest.mark.alone
@pytest.mark.parametrize("service", CONNECTIONS)
def test_a_service_at_rest_has_few_threads(stack, service):
    task = Path(f"/proc/{stack.pid(service)}/task")

    def most():
        drivers = stack.metric(service, "dispatch_drivers_running")  # that other tests left
        return CONNECTIONS[service] + (1 + 2 * drivers if drivers else 0)

    def few():
        names = names_of(task)
        handles = {
            sample: value
            for sample, value in stack.metrics(service).items()
            if sample.startswith("dispatch_kafka_connections{") and value > 0
        }
        assert names.count("rdk:main") <= most(), handles
        others = Counter(name for name in names if not name.startswith("rdk:"))
        own = others.pop(service[:15])
        assert own == 1, "the loop's"
        assert all(count <= OTHERS.get(name, 0) for name, count in others.items()), others
        return True

    # Those that resolve names go after half a minute.
    eventually(few, f"{service} has few threads", 90, step=0.5)


@pytest.mark.alone
def test_the_connections_of_drivers_end_with_them(stack, org, name):
    def ours():
        return stack.metric("event-manager", "dispatch_kafka_connections", client="event-manager")

    running = stack.metric("event-manager", "dispatch_drivers_running")
    before, topic, called = ours(), name("topic"), name("driver")
    org.create_topic(topic)
    entries = [{"key": "topic", "value": topic}, {"key": "seconds", "value": "3600"}]
    org.post("/v1/event/drivers", {"name": called, "type": "ticker", "config": entries}, expect=201)
    eventually(lambda: ours() == before + (not running), "it has a connection to send with")
    org.delete(f"/v1/event/drivers/{called}", expect=200)
    eventually(lambda: ours() == before, "that is closed")
