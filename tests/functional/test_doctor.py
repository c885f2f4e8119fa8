"""`dispatch doctor` on a healthy stack, and with things set wrong on purpose."""

import json
import os
import subprocess

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from lib.receiver import Answer
from lib.stack import DATABASES, ROOT, SERVICES
from lib.wait import eventually

DISPATCH = ROOT / "build" / os.environ.get("DISPATCH_PRESET", "release") / "bin" / "dispatch"
# What deploy/local is on purpose.
OF_DEVELOPMENT = {"kafka.brokers"}
# Of other tests' subscriptions and topics, which fail on purpose.
OF_OTHERS = {"subscription.verdict", "subscription.verdicts", "kafka.retention"}


def report(stack) -> tuple[int, list[dict]]:
    done = subprocess.run(
        [DISPATCH, "doctor", "-o", "json"],
        env={"PATH": os.environ["PATH"], "DISPATCH_API_URL": stack.api_url, "DISPATCH_TOKEN": stack.admin_key},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, 1, 2) and done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


def bad(stack) -> dict[tuple[str, str], dict]:
    return {(f["service"], f["check"]): f for f in report(stack)[1] if f["level"] != "ok"}


@pytest.fixture
def alter(stack):
    """alter(topic, setting, value): until the end of the test."""
    admin = AdminClient({"bootstrap.servers": stack.kafka_brokers})
    undo = []

    def send(topic, setting, value, operation=AlterConfigOpType.SET):
        entry = ConfigEntry(setting, value, incremental_operation=operation)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result()

    def was(topic, setting):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        return admin.describe_configs([resource])[resource].result()[setting].value

    def change(topic, setting, value):
        undo.append((topic, setting, was(topic, setting)))
        send(topic, setting, value)

    yield change
    for topic, setting, value in undo:
        send(topic, setting, value)


def test_a_healthy_stack_has_no_fault_but_its_single_broker(stack, admin):
    code, findings = report(stack)
    asked = admin.get("/v1/doctor", expect=200).json()
    assert {s["name"] for s in asked["services"] if s["reached"]} == set(SERVICES)
    wrong = [f for f in findings if f["level"] != "ok" and f["check"] not in OF_DEVELOPMENT | OF_OTHERS]
    assert not wrong, wrong
    assert code >= 1, "a single broker is a warning"
    checks = {(f["service"], f["check"]) for f in findings}
    for service in ("identity", "event-manager", "function-manager"):
        for check in ("service.reached", "service.clock", "postgres.durability", "postgres.connections",
                      "postgres.migrations", "postgres.clock", "postgres.transactions"):  # fmt: skip
            assert (service, check) in checks
    assert {check for service, check in checks if check.startswith("kafka.")} == {
        "kafka.brokers", "kafka.leaders", "kafka.replication", "kafka.min_insync_replicas", "kafka.cleanup",
        "kafka.unclean_election", "kafka.retention", "kafka.message_size", "kafka.auto_create", "kafka.groups",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "value", "check", "level"),
    [
        ("unclean.leader.election.enable", "true", "kafka.unclean_election", "failure"),
        ("max.message.bytes", "100000", "kafka.message_size", "failure"),
        ("min.insync.replicas", "2", "kafka.min_insync_replicas", "failure"),
    ],
)
def test_settings_of_a_topic_that_risk_events_are_told(stack, org, name, alter, setting, value, check, level):
    topic = name("doctored")
    org.create_topic(topic)
    alter(f"{org.org_name}.{topic}", setting, value)

    def told():
        found = bad(stack).get(("event-manager", check))
        assert found and found["level"] == level and topic in found["text"], found
        assert found["remedy"]
        return True

    eventually(told, f"{check} is told", 20)
    assert report(stack)[0] == 2


def test_retention_of_internal_topics_is_held_against_what_they_were_made_with(stack, alter):
    alter("dispatch.audit", "retention.ms", str(24 * 3600 * 1000))

    def told():
        found = bad(stack).get(("event-manager", "kafka.retention"))
        assert found and found["level"] == "failure" and "dispatch.audit" in found["text"]
        return True

    eventually(told, "the retention is told", 20)


def test_retention_that_is_shorter_than_the_retries_is_a_warning(stack, fresh_org, receiver, name):
    topic, called = name("short"), name("sub")
    fresh_org.create_topic(topic, retention={"time": "1h"})
    fresh_org.subscribe(called, topic, receiver.endpoint().url)

    def told():
        found = bad(stack).get(("event-manager", "kafka.retention"))
        assert found, "nothing is told of retention"
        assert topic in found["text"] or "more" in found["text"], found
        return True

    eventually(told, "the retention is told", 20)
    fresh_org.delete(f"/v1/subscriptions/{called}", expect=200)


def test_a_subscription_in_need_is_named(stack, org, topic, receiver, subscribe):
    refusing = receiver.endpoint()
    refusing.default = Answer(503)
    called = subscribe(refusing.url, retry={"minBackoff": "1h", "maxBackoff": "1h"})
    org.publish(topic)

    def told():
        texts = [f["text"] for f in report(stack)[1] if f["check"] == "subscription.verdict"]
        assert any(f"{org.org_name}/{called}" in text for text in texts), texts
        return True

    eventually(told, "it is named", 40)


@pytest.mark.disruptive  # the connections of identity end
def test_postgresql_that_forgets_is_a_failure(stack):
    """By a setting of one database, which those connections get that are made after it."""
    database = DATABASES["identity"]
    with psycopg.connect(stack.pg_url, autocommit=True) as connection:
        connection.execute(f"alter database {database} set synchronous_commit = off")
        try:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database]
            )

            def told():
                found = bad(stack).get(("identity", "postgres.durability"))
                assert found and found["level"] == "failure" and "synchronous_commit" in found["text"]
                return True

            eventually(told, "it is told", 30)
        finally:
            connection.execute(f"alter database {database} reset synchronous_commit")
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database]
            )
    eventually(lambda: ("identity", "postgres.durability") not in bad(stack), "it is good again", 30)


def test_only_keys_of_the_installation_may_ask(org):
    answer = org.get("/v1/doctor", expect=403).json()
    assert "every organisation" in answer["message"]


@pytest.mark.disruptive
def test_a_service_that_is_away_is_a_failure(healthy):
    healthy.terminate("function-manager")

    def told():
        found = bad(healthy)
        assert found[("function-manager", "service.reached")]["level"] == "failure", found
        # A member with a name of its own is missed when its session ends.
        groups = found.get(("event-manager", "kafka.groups"))
        assert groups and "dispatch.function-manager" in groups["text"], found
        return True

    eventually(told, "it is told", 60)
    assert report(healthy)[0] == 2
    healthy.restart("function-manager")
    eventually(lambda: ("function-manager", "service.reached") not in bad(healthy), "it is back", 60)


def test_a_gateway_that_is_away_is_a_failure(stack):
    done = subprocess.run(
        [DISPATCH, "doctor"],
        env={"PATH": os.environ["PATH"], "DISPATCH_API_URL": "http://127.0.0.1:1", "DISPATCH_TOKEN": "dsp_none"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and "gateway.reached" in done.stdout, done
