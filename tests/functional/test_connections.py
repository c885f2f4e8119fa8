"""Services talk only through Kafka: the live connections of each, under load."""

import threading

import psycopg
import pytest
from lib.client import event
from lib.connections import listening_ports, tcp_connections, unix_sockets
from lib.receiver import Answer
from lib.stack import DATABASES, SERVICES
from lib.wait import eventually

pytestmark = pytest.mark.alone  # other tests have endpoints that the services call as well


@pytest.fixture
def load(org, topic, receiver, subscribe):
    """Publishes and mutates while the test looks."""
    hook = receiver.endpoint(Answer(200, delay=0.05))
    subscribe(hook.url)
    stop = threading.Event()

    def run():
        client = org.with_key(org.key)
        number = 0
        while not stop.is_set():
            client.publish_batch(topic, [event() for _ in range(20)])
            client.put(
                f"/v1/topics/{topic}",
                {"partitions": 1, "tags": [{"key": "n", "value": str(number)}]},
            )
            client.get("/v1/lag")
            number += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    eventually(lambda: len(hook) > 20, "the load runs")
    yield hook
    stop.set()
    thread.join(30)


def pg_clients(stack) -> dict[int, tuple[str, str]]:
    """Client port -> role and database, of all TCP clients of PostgreSQL."""
    with psycopg.connect(stack.pg_url) as connection:
        rows = connection.execute(
            "select client_port, usename, datname from pg_stat_activity where client_port > 0"
        )
        return {port: (role, database) for port, role, database in rows}


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def strangers(stack, service: str, receiver) -> list[str]:
    """Its connections that it should not have."""
    pid = stack.pid(service)
    kafka_ports = {int(broker.rpartition(":")[2]) for broker in stack.kafka_brokers.split(",")}
    own_ports = listening_ports(pid)
    databases = pg_clients(stack)
    found = []
    for connection in tcp_connections(pid):
        port = connection.remote[1]
        if connection.local[1] in own_ports or port in kafka_ports:
            continue  # a client of its HTTP ports; Kafka
        if port == stack.pg_port:
            own = DATABASES.get(service)
            who = databases.get(connection.local[1])
            # A connection that was made or closed between the two looks is seen again.
            if who is None or who == (own, own):
                continue
            found.append(f"PostgreSQL as {who}")
        elif port == receiver.port and service == "function-manager":
            continue
        else:
            found.append(f"{connection.local} -> {connection.remote}")
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_only_expected_connections(stack, load, receiver, service):
    for _ in range(20):
        assert strangers(stack, service, receiver) == []


def test_gateway_has_no_database(stack, load):
    ports = {connection.remote[1] for connection in tcp_connections(stack.pid("api-gateway"))}
    assert stack.pg_port not in ports


@pytest.mark.parametrize("service", DATABASES)
def test_service_reaches_its_own_database_only(stack, load, service):
    mine = {
        connection.local[1]
        for connection in tcp_connections(stack.pid(service))
        # The same local port may serve a connection to another address as well.
        if connection.remote[1] == stack.pg_port
    }
    seen = {who for port, who in pg_clients(stack).items() if port in mine}
    assert seen == {(DATABASES[service], DATABASES[service])}


@pytest.mark.parametrize("service", SERVICES)
def test_service_listens_only_on_its_ports(stack, service):
    expected = {port_of(stack.admin_url(service))}
    if service == "api-gateway":
        expected.add(port_of(stack.api_url))
        expected.add(port_of(stack.env["DISPATCH_ENDPOINTS_URL"]))
    assert listening_ports(stack.pid(service)) == expected


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_no_unix_socket(stack, load, service):
    assert unix_sockets(stack.pid(service)) - {""} == set()
