"""Event drivers: what each built-in type delivers, tokens, executables, and the death of a host."""

import json
import os
import stat
import time
from pathlib import Path

import psycopg
import pytest
from lib import kafka
from lib.client import event
from lib.wait import eventually, throughout

DRIVERS = "/v1/event/drivers"
TYPES = "/v1/event/drivertypes"
LEASE = 5  # seconds
TAKEOVER = 20  # seconds: a lease, and what the machine needs


def config(**entries) -> list:
    return [{"key": k.replace("_", "-"), "value": str(v)} for k, v in entries.items()]


@pytest.fixture
def driver(org, topic, name):
    """driver("ticker", seconds=1) -> a new driver that emits to the shared topic; deleted after."""
    made = []

    def make(type_name: str, secrets=(), **entries) -> dict:
        body = {"name": name("driver"), "type": type_name, "secrets": list(secrets)}
        body["config"] = config(**{"topic": topic, **entries})
        made.append(body["name"])
        return org.post(DRIVERS, body, expect=201).json()

    yield make
    for called in made:
        org.delete(f"{DRIVERS}/{called}", expect=(200, 404))


@pytest.fixture
def events_of(receiver, subscribe, org):
    """events_of(driver) -> an endpoint that gets the events whose source is the driver."""

    def make(called: str, **filters):
        endpoint = receiver.endpoint()
        wanted = filters or {"exact": {"source": f"/{org.org_name}/drivers/{called}"}}
        subscribe(endpoint.url, filters=[wanted])
        return endpoint

    return make


def status(org, called: str) -> dict:
    return org.get(f"{DRIVERS}/{called}", expect=200).json()


def is_ready(org, called: str) -> bool:
    found = status(org, called)
    assert found["status"] == "READY", found
    return True


def logs(org, called: str) -> list:
    return [line["line"] for line in org.get(f"{DRIVERS}/{called}/logs", expect=200).json()]


def test_built_in_types_are_there_and_stay(org, name):
    listed = {t["name"]: t for t in org.get(TYPES, expect=200).json()}
    assert {"ticker", "cron", "webhook", "kafka", "postgres"} <= set(listed)
    assert org.get(f"{TYPES}/kafka", expect=200).json()["image"] == "builtin/kafka"
    answer = org.delete(f"{TYPES}/ticker", expect=409).json()
    assert "built in" in answer["message"]


def test_types_and_drivers_answer_as_vmware_had_it(org, topic, name):
    kind = name("type")
    made = org.post(
        TYPES, {"name": kind, "image": "kars7e/timer:latest", "config": None, "tags": []}, expect=201
    ).json()
    assert made["created-time"] == made["modified-time"] > 1_700_000_000
    called = name("tick")
    body = {"name": called, "type": kind, "config": config(seconds=60, topic=topic)}
    first = org.post(DRIVERS, {**body, "secrets": None, "expose": False}, expect=201).json()
    assert (first["status"], first["image"]) == ("CREATING", "kars7e/timer:latest")
    org.post(DRIVERS, body, expect=409)
    assert org.delete(f"{TYPES}/{kind}", expect=409).json()["message"].count(called) == 1
    unknown = org.post(DRIVERS, {"name": "x", "type": "nothing"}, expect=400).json()
    assert unknown["message"] == (
        "bad request when processing event driver x: driver type nothing does not exist"
    )
    eventually(lambda: is_ready(org, called), "it ticks")
    changed = {**body, "config": config(seconds=30, topic=topic)}
    assert org.put(f"{DRIVERS}/{called}", changed, expect=200).json()["status"] == "UPDATING"
    eventually(lambda: is_ready(org, called), "it ticks again")
    assert called in [d["name"] for d in org.get(DRIVERS, expect=200).json()]
    # What its type says now counts for it, too.
    faster = {"name": kind, "image": "builtin/ticker", "config": config(catch_up=5)}
    org.put(f"{TYPES}/{kind}", faster, expect=200)
    assert status(org, called)["image"] == "builtin/ticker"
    eventually(lambda: is_ready(org, called), "it ticks once more")
    revision = status(org, called)["revision"]
    assert org.put(f"{DRIVERS}/{called}", changed, expect=200).json()["revision"] == revision
    assert org.delete(f"{DRIVERS}/{called}", expect=200).json()["status"] == "DELETING"
    org.get(f"{DRIVERS}/{called}", expect=404)
    org.delete(f"{TYPES}/{kind}", expect=200)


def test_faults_name_their_field(org, topic):
    def fault(type_name, **entries):
        body = {"name": "x", "type": type_name, "config": config(**entries)}
        return org.post(DRIVERS, body, expect=422).json()["message"]

    assert "config.seconds" in fault("ticker", seconds="soon")
    assert "config.cron" in fault("cron", cron="* * *")
    assert "config.timezone" in fault("cron", cron="* * * * *", timezone="Mars")
    assert "topic 'nowhere' does not exist" in fault("ticker", topic="nowhere")
    assert "password" in fault("postgres", table="t", url="postgresql://u:p@h/d")
    answer = org.post(TYPES, {"name": "x", "image": "example/other:1"}, expect=422).json()
    assert "no container engine" in answer["message"]


def each_second_once(hook) -> list[int]:
    """When its ticks were due. Not so yet, while one is overtaken by the next."""
    dues = sorted(due_of(i) for i in hook.event_ids)
    assert not dues or dues == list(range(dues[0], dues[-1] + 1)), dues
    return dues


def test_a_ticker_and_a_cron_tick(org, driver, events_of):
    tick = driver("ticker", seconds=1)["name"]
    cron = driver("cron", cron="* * * * * *", timezone="Europe/Berlin")["name"]
    for called, kind in ((tick, "ticker.tick"), (cron, "cron.trigger")):
        hook = events_of(called)
        eventually(lambda hook=hook: len(each_second_once(hook)) >= 3, f"{kind} comes")
        assert {r["ce-type"] for r in hook.requests} == {kind}


def test_a_webhook_takes_events_with_its_token_only(org, admin, driver, events_of, receiver):
    made = driver("webhook", type="push")
    assert made["status"] == "READY" and made["token"] in made["url"]
    called, url = made["name"], made["url"]
    assert "token" not in status(org, called) and "?" not in status(org, called)["url"]
    hook = events_of(called)
    outside = admin.with_key(None)
    binary = {"ce-specversion": "1.0", "ce-id": "b", "ce-type": "t", "ce-source": ""}
    source = f"/{org.org_name}/drivers/{called}"
    binary["ce-source"] = source
    structured = {"specversion": "1.0", "id": "s", "type": "t", "source": source}
    outside.post(url, {"n": 1}, headers=binary, expect=202)
    as_json = {"Content-Type": "application/cloudevents+json"}
    outside.post(url, data=json.dumps(structured), headers=as_json, expect=202)
    batch = [{**structured, "id": "c1"}, {**structured, "id": "c2"}]
    as_batch = {"Content-Type": "application/cloudevents-batch+json"}
    outside.post(url, data=json.dumps(batch), headers=as_batch, expect=202)
    outside.post(url, {"any": "thing"}, expect=202)
    bearer = {"Authorization": f"Bearer {made['token']}"}
    outside.post(url.partition("?")[0], {"any": "thing"}, headers=bearer, expect=202)
    eventually(lambda: len(hook.requests) == 6, "all come")
    wrapped = [r for r in hook.requests if r["ce-type"] == "push"]
    assert [json.loads(r.body) for r in wrapped] == [{"any": "thing"}] * 2
    for wrong in (url[:-1], url.partition("?")[0], "/v1/event/ingest/nobody/nothing?token=x"):
        outside.post(wrong, {"any": "thing"}, expect=401)


def test_senders_that_ask_first_are_answered(org, admin, driver, events_of):
    made = driver("webhook", origins="a.example, b.example")
    url = made["url"]
    outside = admin.with_key(None)

    def ask(url: str, expect: int, **fields):
        headers = {"WebHook-" + name.replace("_", "-"): value for name, value in fields.items()}
        return outside.request("OPTIONS", url, headers=headers, expect=expect)

    allowed = ask(url, 200, Request_Origin="B.example", Request_Rate="120").headers
    assert allowed["WebHook-Allowed-Origin"] == "B.example"
    assert allowed["WebHook-Allowed-Rate"] == "*" and "POST" in allowed["Allow"]
    ask(url, 403, Request_Origin="c.example")
    assert "WebHook-Allowed-Origin" not in ask(url, 200).headers
    ask(url.partition("?")[0], 401, Request_Origin="a.example")
    anybody = driver("webhook")["url"]
    allowed = ask(anybody, 200, Request_Origin="c.example").headers
    assert allowed["WebHook-Allowed-Origin"] == "c.example"
    assert "WebHook-Allowed-Rate" not in allowed


def test_event_grid_gets_its_code_and_no_event_comes_of_it(org, admin, driver, events_of):
    made = driver("webhook", type="grid.event")
    hook = events_of(made["name"])
    outside = admin.with_key(None)
    event = {"id": "1", "topic": "/t", "subject": "", "eventTime": "2026-01-01T00:00:00Z",
             "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
             "data": {"validationCode": "512d38b6", "validationUrl": "https://a.example/v"}}  # fmt: skip
    headers = {"aeg-event-type": "SubscriptionValidation"}
    answer = outside.post(made["url"], [event], headers=headers, expect=200)
    assert answer.json() == {"validationResponse": "512d38b6"}
    wrong = made["url"].partition("?")[0]
    outside.post(wrong, [event], headers=headers, expect=401)
    for bad in ([], [event, event], {}, [{**event, "data": {}}], [{**event, "eventType": "x"}]):
        outside.post(made["url"], bad, headers=headers, expect=400)
    notified = {"aeg-event-type": "Notification"}
    outside.post(made["url"], [{**event, "eventType": "x"}], headers=notified, expect=202)
    eventually(lambda: len(hook.requests) == 1, "a notification is an event")
    assert hook.requests[0]["ce-type"] == "grid.event"


def test_a_rotated_token_counts_for_the_overlap(org, admin, driver):
    made = driver("webhook")
    path = f"{DRIVERS}/{made['name']}/rotate-token"
    outside = admin.with_key(None)
    second = org.post(path, {"overlap": "1h"}, expect=200).json()["url"]
    outside.post(made["url"], {}, expect=202)
    outside.post(second, {}, expect=202)
    third = org.post(path, {"overlap": 0}, expect=200).json()["url"]
    for old in (made["url"], second):
        outside.post(old, {}, expect=401)
    outside.post(third, {}, expect=202)


def test_a_kafka_source_takes_events_and_other_records(stack, org, name, driver, events_of):
    source = name("source")
    org.create_topic(source, partitions=2)
    kafka_name = f"{org.org_name}.{source}"
    called = driver("kafka", source=source)
    hook = events_of(called["name"], **{"prefix": {"source": "kafka:" + source}})
    other = events_of(called["name"], **{"exact": {"source": "/" + source}})
    org.publish(source, id="own", source="/" + source)
    partition, offset = kafka.produce(stack.kafka_brokers, kafka_name, key=b"k", value=b'{"a": 1}')
    eventually(lambda: other.event_ids == ["own"], "the event comes as it is", TAKEOVER)
    eventually(lambda: len(hook.requests) == 1, "the record comes, wrapped", TAKEOVER)
    request = hook.requests[0]
    assert request["ce-id"] == f"{called['id']}-{partition}-{offset}"
    assert (request["ce-type"], request["ce-partitionkey"]) == ("kafka.record", "k")
    assert json.loads(request.body) == {"a": 1}
    assert is_ready(org, called["name"])
    used = org.delete(f"/v1/topics/{source}", expect=409).json()["message"]
    assert f"is used by driver '{called['name']}'" in used


def test_no_kafka_source_reads_the_topics_of_another_organisation(stack, org, fresh_org, name, driver):
    secret = name("secret")
    fresh_org.create_topic(secret)
    fresh_org.publish(secret)
    address = stack.kafka_brokers.split(",")[0]
    for source in (f"{fresh_org.org_name}.{secret}", "dispatch.invocations"):
        for brokers in (stack.kafka_brokers, f"{address},{address}", address.replace("127.0.0.1", "localhost")):
            called = driver("kafka", source=source, brokers=brokers)["name"]
            eventually(lambda c=called: status(org, c)["status"] == "ERROR", "it is refused", TAKEOVER)
            assert "those of this installation" in status(org, called)["reason"][0]
            assert not any("reads" in line for line in logs(org, called))


@pytest.fixture
def database(stack, name):
    """A database connection with an outbox table of the test's own."""
    table = name("outbox").replace("-", "_")
    with psycopg.connect(stack.pg_url, autocommit=True) as connection:
        connection.execute(
            f"create table {table} (id bigserial primary key, type text, payload jsonb)"
        )
        connection.table = table
        yield connection
        connection.execute(f"drop table {table}")


def url_of(stack, database: str = "") -> str:
    """Of this stack's server, as users name one."""
    info = psycopg.conninfo.conninfo_to_dict(stack.pg_url)
    host = info.get("host", "127.0.0.1")
    host = "127.0.0.1" if host.startswith("/") else host
    return f"postgresql://{info['user']}@{host}:{info['port']}/{database or info['dbname']}"


@pytest.fixture
def pg_source(stack, org, name):
    """The secret that a postgres driver for this stack's server needs."""
    password = psycopg.conninfo.conninfo_to_dict(stack.pg_url).get("password")
    secret = name("pg")
    values = {"url": url_of(stack), "password": password or "unused"}
    org.post("/v1/secret", {"name": secret, "secrets": values}, expect=201)
    return [secret]


def test_an_outbox_is_delivered_and_emptied(org, driver, events_of, database, pg_source):
    called = driver("postgres", pg_source, table=database.table, channel="ch_" + database.table)
    hook = events_of(called["name"])
    eventually(lambda: is_ready(org, called["name"]), "it is connected")
    for i in range(300):
        database.execute(
            f"insert into {database.table} (type, payload) values (%s, %s)",
            ("order.created", json.dumps({"n": i})),
        )
    eventually(lambda: len(set(hook.event_ids)) == 300, "all rows come")
    count = f"select count(*) from {database.table}"
    eventually(lambda: database.execute(count).fetchone()[0] == 0, "the table is empty")
    assert {r["ce-type"] for r in hook.requests} == {"order.created"}
    assert sorted(json.loads(r.body)["n"] for r in hook.requests) == list(range(300))
    # Its connection goes; it comes back.
    database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'dispatch-driver'"
    )
    database.execute(f"insert into {database.table} (type) values ('after')")
    eventually(lambda: len(set(hook.event_ids)) == 301, "the row after it comes", TAKEOVER)
    assert any("connection is lost" in line for line in logs(org, called["name"]))


def test_an_outbox_in_another_encoding_is_read(stack, driver, events_of, name, pg_source):
    latin = name("latin")
    with psycopg.connect(stack.pg_url, autocommit=True) as server:
        server.execute(f"create database \"{latin}\" encoding latin1 locale 'C' template template0")
        try:
            with psycopg.connect(stack.pg_url, dbname=latin, autocommit=True) as connection:
                connection.execute("create table outbox (id serial primary key, data jsonb)")
                connection.execute("""insert into outbox (data) values ('{"a": "größer"}')""")
            hook = events_of(driver("postgres", pg_source, table="outbox", url=url_of(stack, latin))["name"])
            eventually(lambda: hook.requests, "its row comes")
            assert json.loads(hook.requests[0].body) == {"a": "größer"}
        finally:
            server.execute(f'drop database "{latin}" with (force)')


def test_notifications_become_events(org, driver, events_of, database, pg_source):
    called = driver("postgres", pg_source, channel="told")
    hook = events_of(called["name"])
    eventually(lambda: is_ready(org, called["name"]), "it listens")
    database.execute("""notify told, '{"a": 1}'""")
    eventually(lambda: len(hook.requests) == 1, "it comes")
    assert hook.requests[0]["ce-type"] == "postgres.notification"
    assert json.loads(hook.requests[0].body) == {"a": 1}


EXECUTABLE = """#!/usr/bin/python3
import json, os, sys, time, urllib.request, urllib.error
print("arguments", sorted(a for a in sys.argv[1:] if "endpoint" not in a), flush=True)
print("secret", len(os.environ["API_TOKEN"]), file=sys.stderr, flush=True)
url = os.environ["DISPATCH_ENDPOINT"]
assert urllib.request.urlopen(url).status == 200
def post(url, body, method="POST"):
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method,
                                     headers={"Content-Type": "application/json"})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code
event = {"eventType": "weather.changed", "cloudEventsVersion": "0.1", "source": "weather",
         "eventID": str(time.time_ns()), "data": {"sun": True}}
ingest = url.rpartition("/")[0] + "/v1/event/ingest?authToken=" + os.environ["AUTH_TOKEN"]
print("answers", post(url, event), post(ingest, event), post(url, {}), post(url, {}, "PUT"),
      post(url + "x", event), flush=True)
print("sees", os.path.exists("/work"), os.path.exists("/root"), len(os.listdir("/tmp")), flush=True)
if "--crash" in sys.argv:
    sys.exit(3)
time.sleep(1000)
"""


@pytest.fixture
def executable(stack, org, name):
    """executable(text) -> the name of a driver type that runs it."""
    folder = stack.home / "drivers"
    folder.mkdir(exist_ok=True)
    made = []

    def make(text: str) -> str:
        called = name("program")
        path = folder / called
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        os.chmod(folder, 0o755)
        org.post(TYPES, {"name": called, "image": called}, expect=201)
        made.append(path)
        return called

    yield make
    for path in made:
        path.unlink()


def test_an_executable_gets_what_it_needs_and_no_more(
    org, name, driver, executable, receiver, subscribe
):
    hook = receiver.endpoint()
    subscribe(hook.url, eventType="weather.changed")
    secret = name("weather")
    org.post("/v1/secret", {"name": secret, "secrets": {"apiToken": "12345678"}}, expect=201)
    called = driver(executable(EXECUTABLE), [secret], units="metric", quiet="")["name"]
    eventually(lambda: is_ready(org, called), "it runs")
    eventually(lambda: any(line.startswith("sees") for line in logs(org, called)), "it says all")
    said = "\n".join(logs(org, called))
    assert "arguments ['--quiet', '--units=metric']" in said
    assert "secret 8" in said and "12345678" not in said
    assert "answers 201 201 400 405 401" in said
    assert "sees False False 0" in said
    eventually(lambda: len(hook.requests) == 2, "its events come")
    org.put(f"/v1/secret/{secret}", {"name": secret, "secrets": {"apiToken": "1234"}}, expect=201)
    eventually(lambda: "secret 4" in logs(org, called), "it has the new value")


CONFINED = """#!/usr/bin/python3
import ctypes, errno, os, socket, sys, time

libc = ctypes.CDLL(None, use_errno=True)

def tried(what):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "let through") if what() != 0 else "let through"

def refused(family):
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
        return "let through"
    except OSError as error:
        return errno.errorcode[error.errno]

print("ptrace", tried(lambda: libc.ptrace(16, os.getpid(), 0, 0)), flush=True)
print("unshare", tried(lambda: libc.unshare(0x10000000)), flush=True)
print("vsock", refused(40), "inet", refused(socket.AF_INET), flush=True)
status = open("/proc/self/status").read()
print([line for line in status.splitlines() if line.startswith(("Seccomp:", "NoNewPrivs:", "CapEff:"))], flush=True)
if "--bomb" in sys.argv:
    for _ in range(3):  # each within its own limit
        if os.fork() == 0:
            kept = bytearray(700 << 20)
            kept[::4096] = b"x" * len(kept[::4096])
            time.sleep(1000)
    os.wait()
    sys.exit(1)
time.sleep(1000)
"""


def control_groups(pid: int) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/dispatch-drivers-{pid}-*"))


def test_an_executable_is_confined(stack, org, driver, executable):
    called = driver(executable(CONFINED), [])["name"]
    eventually(lambda: any("Seccomp" in line for line in logs(org, called)), "it says all")
    said = "\n".join(logs(org, called))
    assert "ptrace EPERM" in said and "unshare EPERM" in said and "vsock EACCES inet let through" in said, said
    assert "'Seccomp:\\t2'" in said and "'CapEff:\\t0000000000000000'" in said, said


def test_an_executable_that_eats_memory_is_ended_with_that_reason(stack, org, driver, executable):
    if not control_groups(stack.pid("event-manager")):
        pytest.skip("SKIPPED: no control groups can be made here")
    called = driver(executable(CONFINED), [], bomb="")["name"]

    def reason():
        return "more memory than its limit of 1024 MB" in str(status(org, called)["reason"])

    eventually(reason, "its reason tells", 30)


def test_an_executable_that_crashes_is_restarted_and_tells(org, name, driver, executable):
    secret = name("weather")
    org.post("/v1/secret", {"name": secret, "secrets": {"api_token": "x"}}, expect=201)
    called = driver(executable(EXECUTABLE), [secret], crash="")["name"]

    def crashed_twice():
        assert logs(org, called).count("started") >= 2
        found = status(org, called)
        assert found["status"] == "ERROR" and "exited with status 3" in found["reason"][0], found
        return True

    eventually(crashed_twice, "it is started again, and its status tells why", TAKEOVER)


def test_a_missing_secret_is_the_reason(org, name, driver):
    called = driver("ticker", ["nothing-there"], seconds=1)["name"]
    eventually(lambda: status(org, called)["status"] == "ERROR", "it cannot run")
    assert "nothing-there" in status(org, called)["reason"][0]


@pytest.mark.disruptive
def test_sigkill_of_the_host_repeats_and_misses_no_tick(
    healthy, org, topic, driver, events_of, executable, name
):
    """Two instances; the one that runs the ticker dies, the other goes on; its children are gone."""
    stack = healthy
    called = driver("ticker", seconds=1)["name"]
    hook = events_of(called)
    secret = name("weather")
    org.post("/v1/secret", {"name": secret, "secrets": {"api_token": "x"}}, expect=201)
    program = executable(EXECUTABLE)
    driver(program, [secret])
    eventually(lambda: len(hook.requests) >= 2, "it ticks")
    eventually(lambda: children(program), "the executable runs")
    before = children(program)
    other = stack.start_another("event-manager")
    try:
        time_of_death = time.time()
        stack.kill("event-manager")
        eventually(lambda: not (before & children(program)), "no orphan is left")

        def goes_on():
            return each_second_once(hook)[-1] > time_of_death + 6

        eventually(goes_on, "the other one ticks, and each tick came once", 60)
        eventually(lambda: children(program), "the executable runs again", TAKEOVER)
    finally:
        stack.restart("event-manager")
        stack.await_ready()
        other.terminate()
        other.wait(30)


def due_of(event_id: str) -> int:
    return int(event_id.rpartition("-")[2])


def children(program: str) -> set[int]:
    """Processes that run the program."""
    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                if f"/drivers/{program}".encode() in file.read():
                    found.add(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.long
@pytest.mark.disruptive
def test_sigkill_of_the_host_loses_no_row_and_no_record(
    healthy, org, topic, driver, events_of, database, pg_source, name
):
    """Rows and records come all the time while it dies and comes back."""
    stack = healthy
    source = name("source")
    org.create_topic(source)
    rows = driver("postgres", pg_source, table=database.table)
    records = driver("kafka", source=source)
    from_rows = events_of(rows["name"])
    from_records = events_of(records["name"], **{"exact": {"source": "/" + source}})
    eventually(lambda: is_ready(org, rows["name"]) and is_ready(org, records["name"]), "both run")
    sent = []
    for part in range(4):
        batch = [event(source="/" + source) for _ in range(100)]
        org.publish_batch(source, batch)
        sent += [e["id"] for e in batch]
        database.execute(
            f"insert into {database.table} (type, payload) "
            f"select 'row', to_jsonb(n) from generate_series(1, 100) n"
        )
        if part == 1:
            stack.kill("event-manager")
    stack.restart("event-manager")
    eventually(lambda: len(set(from_rows.event_ids)) == 400, "all rows", 60)
    eventually(lambda: set(from_records.event_ids) == set(sent), "all records", 60)
    count = f"select count(*) from {database.table}"
    eventually(lambda: database.execute(count).fetchone()[0] == 0, "the table is empty")


def test_a_deleted_driver_stops(org, driver, events_of):
    called = driver("ticker", seconds=1)["name"]
    hook = events_of(called)
    eventually(lambda: hook.requests, "it ticks")
    org.delete(f"{DRIVERS}/{called}", expect=200)
    deleted = time.time()
    throughout(
        lambda: all(due_of(i) <= deleted + LEASE for i in hook.event_ids), "no tick after a lease", LEASE + 3
    )
