"""docs/backup.md, step by step: the databases are lost and come back from an older backup, while Kafka
is as it was."""

import re
import subprocess
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from lib.client import adds_up
from lib.stack import DATABASES, ROOT
from lib.wait import eventually

STATE = [f"dispatch.state.{service}" for service in DATABASES] + ["dispatch.progress"]


def statements() -> str:
    """The ones that the page gives."""
    (found,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/backup.md").read_text(), flags=re.S)
    return found


def url_of(stack, database: str) -> str:
    return urlunsplit(urlsplit(stack.pg_url)._replace(path=f"/{database}"))


def run(*command) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command[0]}: {done.stderr[-2000:]}"


def restore(stack, dumps) -> None:
    for database, dump in dumps.items():
        run("pg_restore", "--clean", "--if-exists", "--create", f"--dbname={url_of(stack, 'postgres')}", dump)
        with psycopg.connect(url_of(stack, database), autocommit=True) as connection:
            connection.execute(statements())
    admin = AdminClient({"bootstrap.servers": stack.kafka_brokers})
    for future in admin.delete_topics(STATE).values():
        future.result()


@pytest.mark.disruptive
def test_databases_come_back_from_a_backup(healthy, org, receiver, name, tmp_path):
    topic, kept, later = name("backed"), name("kept"), name("later")
    hook = receiver.endpoint()
    org.create_topic(topic)
    org.subscribe(kept, topic, hook.url)
    before = [org.publish(topic)["id"] for _ in range(5)]
    org.settled(kept, matched=5)

    dumps = {}
    for database in DATABASES.values():
        dumps[database] = tmp_path / f"{database}.dump"
        run("pg_dump", "--format=custom", f"--file={dumps[database]}", url_of(healthy, database))

    # What the backup does not have.
    since = [org.publish(topic)["id"] for _ in range(3)]
    org.settled(kept, matched=8)
    org.subscribe(later, topic, receiver.endpoint().url)
    deliveries = {request.delivery_id for request in hook.requests}

    for service in ("api-gateway", *DATABASES):
        healthy.terminate(service)
    restore(healthy, dumps)
    for service in (*DATABASES, "api-gateway"):
        healthy.restart(service, wait=False)
    healthy.await_ready(120)

    org.get(f"/v1/subscriptions/{later}", expect=404)
    after = org.publish(topic)["id"]

    def settled():
        s = org.statistics(kept)
        assert s["matched"] == 9 and s["delivered"] == 9 and s["unread"] == 0, s
        assert adds_up(s) and s["conservationError"] == 0, s
        return True

    eventually(settled, "the figures are those of the topic", 60)
    assert set(hook.event_ids) == {*before, *since, after}
    counts = {event: hook.event_ids.count(event) for event in (*before, *since, after)}
    assert all(counts[event] == 1 for event in (*before, after)), counts
    assert all(counts[event] == 2 for event in since), "what came after the backup comes again"
    again = {request.delivery_id for request in hook.requests[8:]}
    assert len(again - deliveries) == 1, "under the same names, but for the new event"
    # Changes are told again: the epochs and versions are newer than those before.
    org.subscribe(later, topic, hook.url)
    org.delete(f"/v1/subscriptions/{later}", expect=200)
    org.delete(f"/v1/subscriptions/{kept}", expect=200)
