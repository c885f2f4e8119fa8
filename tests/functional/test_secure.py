"""Kafka and PostgreSQL by TLS and passwords: a stack of its own from `up --secure`."""

import contextlib
import os
import select
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from lib.client import Client
from lib.http_function import make_function
from lib.stack import DATABASES, LOCAL, SERVICES, Stack, environment_for
from lib.wait import eventually


@pytest.fixture(scope="module")
def secure():
    home = Path(tempfile.mkdtemp(prefix="dispatch-secure."))
    home.chmod(0o755)  # root's PostgreSQL runs as user postgres
    environment = environment_for(home)
    try:
        subprocess.run(
            [LOCAL / "up", "--secure", "--no-build", "--ports", "auto", "--quiet"],
            env=environment,
            stdin=subprocess.DEVNULL,
            check=True,
        )
        yield Stack(home)
    finally:
        subprocess.run([LOCAL / "down", "--purge"], env=environment, stdout=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)


def kafka_settings(stack) -> dict[str, str]:
    """Those of the operator's client."""
    lines = Path(stack.env["DISPATCH_KAFKA_CLIENT_FILE"]).read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    return {"bootstrap.servers": stack.kafka_brokers, **settings}


def program_of(stack, service) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a running service."""
    process = Path(f"/proc/{stack.pid(service)}")
    words = process.joinpath("cmdline").read_text().split("\0")[:-1]
    entries = process.joinpath("environ").read_text().split("\0")
    return words, dict(entry.split("=", 1) for entry in entries if entry)


@contextlib.contextmanager
def another(stack, service, **settings):
    """A second process of the service with other settings; its output."""
    words, environment = program_of(stack, service)
    changed = {**environment, "DISPATCH_ADMIN_LISTEN": "127.0.0.1:0", **settings}
    if service == "api-gateway":
        for port in ("LISTEN", "ENDPOINTS_LISTEN", "ENDPOINTS_TLS_LISTEN"):
            changed[f"DISPATCH_{port}"] = "127.0.0.1:0"
    process = subprocess.Popen(
        words, env=changed, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def line_with(process, wanted: str, bound: float = 15) -> str:
    """The first line of its output that has the text."""
    seen = b""
    readable = select.poll()  # select() knows no descriptor over 1023, and a long run has them
    readable.register(process.stdout, select.POLLIN)
    deadline = time.monotonic() + bound
    while time.monotonic() < deadline:
        if not readable.poll(200):
            continue
        chunk = os.read(process.stdout.fileno(), 65536)
        seen += chunk
        for line in seen.decode(errors="replace").splitlines():
            if wanted in line:
                return line
        if not chunk:
            break
    raise AssertionError(f"no line with {wanted!r} in {bound} s:\n{seen.decode()}")


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory) -> Path:
    """A certificate authority that signed nothing here."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    subprocess.run(
        [*command.split(), "-subj", "/CN=other", "-keyout", "ca.key", "-out", "ca.crt"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "ca.crt"


def test_an_event_is_delivered(secure, receiver):
    admin = Client(secure.api_url, secure.admin_key)
    hook = receiver.endpoint()
    admin.create_topic("orders")
    admin.subscribe("all", "orders", hook.url)
    event_id = admin.publish("orders")["id"]
    admin.settled("all", matched=1)
    assert hook.event_ids == [event_id]


def test_every_connection_to_postgresql_is_encrypted(secure):
    with psycopg.connect(secure.pg_url) as connection:
        rows = connection.execute(
            "select application_name, usename, ssl, version from pg_stat_ssl"
            " join pg_stat_activity using (pid) where backend_type = 'client backend'"
        ).fetchall()
    assert all(ssl_on and version in ("TLSv1.2", "TLSv1.3") for _, _, ssl_on, version in rows)
    users = {name: user for name, user, _, _ in rows if name.startswith("dispatch-")}
    assert users == {f"dispatch-{service}": role for service, role in DATABASES.items()}


@pytest.fixture(scope="module")
def greeting(secure, receiver) -> str:
    """The path of an endpoint for HTTPS alone."""
    admin = Client(secure.api_url, secure.admin_key)
    make_function(admin, receiver, "greet", lambda context, payload: context["httpContext"]["scheme"])
    body = {"name": "greet", "function": "greet", "uris": ["/greet"], "protocols": ["https"]}
    return admin.post("/v1/api", {**body, "enabled": True}, expect=200).json()["uris"][0]


def make_certificate(folder: Path) -> None:
    """Another certificate of the stack's authority: new.crt, new.key."""
    script = """
        openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out new.key
        openssl req -new -key new.key -subj /CN=renewed -out new.csr
        openssl x509 -req -in new.csr -CA ca.crt -CAkey ca.key -days 2 -out new.crt \\
            -extfile <(echo subjectAltName=IP:127.0.0.1)
        rm new.csr
    """
    subprocess.run(["bash", "-ec", script], cwd=folder, check=True, capture_output=True)


def name_served(secure) -> str:
    address = urlsplit(secure.env["DISPATCH_ENDPOINTS_TLS_URL"])
    trusting = ssl.create_default_context(cafile=secure.env["DISPATCH_TLS_CA_FILE"])
    with socket.create_connection((address.hostname, address.port), 10) as plain:
        with trusting.wrap_socket(plain, server_hostname=address.hostname) as encrypted:
            return dict(pair[0] for pair in encrypted.getpeercert()["subject"])["commonName"]


def test_endpoints_for_https_refuse_plain_http(secure, greeting):
    plain = requests.get(secure.env["DISPATCH_ENDPOINTS_URL"] + greeting, timeout=10)
    assert (plain.status_code, plain.json()) == (400, {"message": "Please use HTTPS protocol"})
    told = {"X-Forwarded-Proto": "https"}  # TLS ends here: nobody else says what it was
    url = secure.env["DISPATCH_ENDPOINTS_URL"] + greeting
    assert requests.get(url, headers=told, timeout=10).status_code == 400
    url = secure.env["DISPATCH_ENDPOINTS_TLS_URL"] + greeting
    answer = requests.get(url, verify=secure.env["DISPATCH_TLS_CA_FILE"], timeout=10)
    assert (answer.status_code, answer.json()) == (200, "https")
    wrong_scheme = requests.get(url.replace("https", "http", 1), timeout=10)
    assert wrong_scheme.status_code == 400 and "https://" in wrong_scheme.json()["message"]
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, timeout=10)  # an authority that is not known


def test_a_renewed_certificate_fails_no_request(secure, greeting):
    url = secure.env["DISPATCH_ENDPOINTS_TLS_URL"] + greeting
    authority = secure.env["DISPATCH_TLS_CA_FILE"]
    assert name_served(secure) == "endpoints"
    done = threading.Event()
    answers, failures = [], []

    def load(keep: bool):
        session = requests.Session()
        while not done.is_set():
            if not keep:
                session.close()
                session = requests.Session()
            try:
                answers.append(session.get(url, verify=authority, timeout=10).status_code)
            except requests.RequestException as error:
                failures.append(error)

    threads = [threading.Thread(target=load, args=(number % 2 == 0,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        folder = secure.home / "tls"
        make_certificate(folder)
        (folder / "new.crt").replace(folder / "endpoints.crt")
        eventually(
            lambda: "certificate not renewed" in secure.log("api-gateway"),
            "that key and certificate do not fit is told",
        )
        assert name_served(secure) == "endpoints"
        (folder / "new.key").replace(folder / "endpoints.key")
        eventually(lambda: name_served(secure) == "renewed", "the new certificate is served")
        enough = len(answers) + 50
        eventually(lambda: len(answers) > enough, "requests go on")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures and set(answers) == {200}


def test_kafka_takes_clients_by_tls_only(secure):
    properties = (secure.home / "kafka" / "1" / "server.properties").read_text()
    (listeners,) = [x for x in properties.splitlines() if x.startswith("listeners=")]
    schemes = {x.split("://")[0] for x in listeners.removeprefix("listeners=").split(",")}
    assert schemes == {"SASL_SSL", "CONTROLLER"}
    assert "listener.security.protocol.map=CONTROLLER:SSL,SASL_SSL:SASL_SSL" in properties
    trusting = ssl.create_default_context(cafile=secure.home / "tls" / "ca.crt")
    host, port = secure.kafka_brokers.split(":")
    with socket.create_connection((host, int(port)), 10) as plain:
        with trusting.wrap_socket(plain, server_hostname=host) as encrypted:
            assert encrypted.version() in ("TLSv1.2", "TLSv1.3")
    for service in SERVICES:
        assert program_of(secure, service)[1]["DISPATCH_KAFKA_SECURITY_PROTOCOL"] == "sasl_ssl"


def test_kafka_refuses_plain_text_and_wrong_passwords(secure):
    good = kafka_settings(secure)
    assert AdminClient(good).list_topics(timeout=10).topics
    errors = []
    quiet = {"bootstrap.servers": secure.kafka_brokers, "log_level": 0, "error_cb": errors.append}

    def is_refused(name: str, **settings):
        client = AdminClient({**quiet, **settings})
        eventually(
            lambda: client.poll(0.1) and name in [error.name() for error in errors],
            f"a client with {settings} is told {name}",
        )
        with pytest.raises(KafkaException):
            client.list_topics(timeout=0.5)

    is_refused("_AUTHENTICATION", **{**good, "sasl.password": "wrong"})
    with pytest.raises(KafkaException):
        AdminClient(quiet).list_topics(timeout=2)


@pytest.mark.parametrize(
    "parameters, why",
    [
        ("sslmode=disable", "no encryption"),
        ("sslmode=require&password=wrong", "password authentication failed"),
        ("sslmode=require&passfile=/none", "no password supplied"),
    ],
)
def test_postgresql_refuses_plain_text_and_wrong_passwords(secure, parameters, why):
    address = secure.pg_url.partition("?")[0]
    with pytest.raises(psycopg.OperationalError, match=why):
        psycopg.connect(f"{address}?{parameters}&connect_timeout=5")


def test_keys_and_passwords_are_closed_and_on_no_command_line(secure):
    secrets = []
    for folder in ("tls", "keys"):
        assert stat.S_IMODE((secure.home / folder).stat().st_mode) == 0o700
        for file in (secure.home / folder).iterdir():
            if file.suffix != ".crt":
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
            if file.suffix == ".password":
                secrets.append(file.read_text())
    assert len(secrets) >= len(SERVICES) + len(DATABASES)
    for part in ("kafka", "postgres", *SERVICES):
        process = Path(f"/proc/{secure.pid(part)}")
        shown = process.joinpath("cmdline").read_text() + process.joinpath("environ").read_text()
        assert not [secret for secret in secrets if secret in shown], part
        assert not [secret for secret in secrets if secret in secure.log(part)], part


def test_wrong_settings_of_kafka_are_named(secure, other_authority):
    with (
        another(secure, "api-gateway", DISPATCH_KAFKA_SASL_PASSWORD="wrong") as password,
        another(secure, "event-manager", DISPATCH_KAFKA_SSL_CA=str(other_authority)) as authority,
        another(secure, "identity", DISPATCH_KAFKA_SECURITY_PROTOCOL="plaintext") as protocol,
        another(secure, "identity", DISPATCH_KAFKA_SSL_CA="/none") as missing,
    ):
        assert "Authentication failed" in line_with(password, "kafka-sasl-password")
        assert "certificate verify failed" in line_with(authority, "kafka-ssl-ca must name")
        line_with(protocol, "kafka-security-protocol")
        line_with(missing, "kafka-ssl-ca")
        eventually(lambda: missing.poll() == 1, "without the file it does not start")


def test_wrong_settings_of_postgresql_are_named(secure, other_authority):
    """It says so and ends: waiting would not help."""

    def with_url(service, change):
        url = change(program_of(secure, service)[1]["DISPATCH_PG_URL"])
        return another(secure, service, DISPATCH_PG_URL=url)

    authority = str(secure.home / "tls" / "ca.crt")
    with (
        with_url("identity", lambda u: u.replace(authority, str(other_authority))) as wrong_authority,
        with_url("event-manager", lambda u: u.replace("@", ":wrong@")) as password,
        with_url("function-manager", lambda u: u.split("?")[0] + "?sslmode=disable") as plain,
    ):
        for process, remedy in (
            (wrong_authority, "sslrootcert in the setting pg-url must name the authority"),
            (password, "the password in the setting pg-url"),
            (plain, "add sslmode=verify-full to the setting pg-url"),
        ):
            line_with(process, remedy)
            eventually(lambda process=process: process.poll() == 1, "it ends with 1")


def test_security_is_not_switched_on_or_off_with_data(secure):
    """What was made secure stays so without the option."""
    done = secure.tool("up", "--no-build")
    assert secure.env["DISPATCH_KAFKA_CLIENT_FILE"] in done.stdout
    assert "sslmode=verify-full" in secure.tool("status").stdout
