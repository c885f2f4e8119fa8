"""Fixtures of the functional suite. It needs a running stack: `tests/run functional`, or
`deploy/local/up` and DISPATCH_HOME; it leaves it running and ready.

`tests/run` gives it two workers (pytest-xdist) on the one stack. Tests have organisations, topics and
names of their own, so most do not see each other: the files are dealt out. What stops parts or counts
or times what the whole stack does runs in one worker, one test at a time, when all others are through."""

import itertools
import sys
import time
import uuid
from pathlib import Path

import pytest
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.client import Client  # noqa: E402
from lib.http_function import make_function  # noqa: E402
from lib.receiver import Receiver  # noqa: E402
from lib.stack import SERVICES, Stack  # noqa: E402
from lib.turns import Turns  # noqa: E402

# Every answer that any test of this run got; test_contract.py compares it with the document.
EXCHANGES: list = []
TURNS = pytest.StashKey[Turns]()


def pytest_configure(config):
    config.addinivalue_line("markers", "disruptive: stops or kills parts; these tests run last")
    config.addinivalue_line("markers", "alone: counts or times what the whole stack does, so others must not")
    config.addinivalue_line("markers", "whole_run: looks at all that the tests before it did")
    config.addinivalue_line("markers", "long: takes long, and runs only when asked for: -m long")


@pytest.hookimpl(trylast=True)  # when -k and -m have chosen: nobody waits for what does not run
def pytest_collection_modifyitems(config, items):
    if "long" not in config.option.markexpr:
        short = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=[item for item in items if item not in short])
        items[:] = short

    def place(item):
        for number, marker in enumerate(("whole_run", "disruptive", "alone")):
            if item.get_closest_marker(marker):
                return 3 - number
        return 0

    items.sort(key=place)
    if not hasattr(config, "workerinput"):
        return
    config.stash[TURNS] = Turns(
        Path(config.option.basetemp).parent,
        config.workerinput["workerid"],
        last=[item.nodeid for item in items if place(item)],
        others=[item.nodeid for item in items if not place(item)],
        seen=EXCHANGES,
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from lib.scheduler import ByFile

    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    turns = item.config.stash.get(TURNS, None)
    if turns is None:
        return (yield)
    turns.begin(item.nodeid)
    outcome = yield
    turns.done(item.nodeid)
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure tells what the services complained of meanwhile."""
    report = yield
    running = item.funcargs.get("stack")
    if report.failed and running is not None:
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(call.start))
        for service in SERVICES:
            if told := running.warnings(service, since):
                report.sections.append((f"the log of {service}", "\n".join(told)))
    return report


@pytest.fixture(scope="session")
def stack() -> Stack:
    running = Stack.of_environment()
    running.await_ready()
    return running


@pytest.fixture(scope="session")
def exchanges(request) -> list:
    turns = request.config.stash.get(TURNS, None)
    return EXCHANGES if turns is None else turns.all_exchanges()


@pytest.fixture(scope="session")
def admin(stack) -> Client:
    """The first key of the installation: admin, in every organisation; acts in `default`."""
    return Client(stack.api_url, stack.admin_key, seen=EXCHANGES)


@pytest.fixture(scope="session")
def receiver():
    with Receiver() as running:
        yield running


RUN = uuid.uuid4().hex[:6]
NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def name():
    """name("orders") -> a name that nothing else in this stack has."""
    return lambda what="x": f"{what}-{RUN}-{next(NUMBERS)}"


@pytest.fixture(scope="session")
def org(admin, name) -> Client:
    """An admin of the organisation that most tests share."""
    return make_org(admin, name("shared"))


@pytest.fixture(scope="session")
def topic(org) -> str:
    """A topic of `org` with one partition, which most tests share because a new one is read only
    after a second or two: each has subscriptions of its own, which start at its end."""
    org.create_topic("events")
    return "events"


@pytest.fixture
def fresh_org(admin, name) -> Client:
    """An admin of an organisation of the test's own, with nothing in it."""
    return make_org(admin, name("org"))


@pytest.fixture
def subscribe(org, topic, name):
    """subscribe(url, **fields) -> the name of a subscription to `topic`, gone after the test."""
    made = []

    def make(url: str | None = None, **fields) -> str:
        called = name("sub")
        org.subscribe(called, topic, url, **fields)
        made.append(called)
        return called

    yield make
    for called in made:
        org.delete(f"/v1/event/subscriptions/{called}")


@pytest.fixture
def hook(receiver, subscribe):
    """An endpoint that gets every event of `topic`."""
    endpoint = receiver.endpoint()
    endpoint.subscription = subscribe(endpoint.url)
    return endpoint


def make_org(admin: Client, called: str) -> Client:
    """An organisation and an admin of it; `org_name` on the client tells which."""
    admin.post("/v1/iam/organization", {"name": called}, expect=201)
    made = make_key(admin.in_org(called), "admin", ["admin"])
    made.org_name = called
    return made


def make_key(admin: Client, called: str, scopes: list, **fields) -> Client:
    """A new key of the organisation that `admin` acts in."""
    made = admin.post("/v1/iam/keys", {"name": called, "scopes": scopes, **fields}, expect=201)
    return admin.with_key(made.json()["key"])


@pytest.fixture
def healthy(stack):
    """For disruptive tests: whatever they stopped is back when they end, also when they fail."""
    yield stack
    for part in ("kafka", "postgres", *SERVICES):
        if stack.pid(part) is None:
            stack.restart(part)
    stack.await_ready()


def settled_ids(endpoint) -> list[str]:
    """The ids that an endpoint got, sorted: order is not promised."""
    return sorted(endpoint.event_ids)


@pytest.fixture
def echo(org, receiver, name):
    """A function that answers its input and context."""
    called = name("echo")
    make_function(org, receiver, called, lambda context, payload: [payload, context["httpContext"]])
    return called


@pytest.fixture
def function(org, receiver, name):
    def make(handle, **fields) -> str:
        called = name("fn")
        make_function(org, receiver, called, handle, **fields)
        return called

    return make


@pytest.fixture
def expose(org, name):
    made = []

    def make(function: str, uri: str, **fields) -> str:
        """The path that it is served at."""
        called = name("api")
        body = {"name": called, "function": function, "uris": [uri], "enabled": True, **fields}
        answer = org.post("/v1/api", body, expect=200).json()
        assert answer["status"] == "CREATING"
        assert org.get(f"/v1/api/{called}", expect=200).json()["status"] == "READY"
        made.append(called)
        make.name = called
        return answer["uris"][0]

    yield make
    for called in made:
        org.delete(f"/v1/api/{called}", expect=(200, 404))


@pytest.fixture
def call(stack):
    def send(method: str, path: str, **options):
        return requests.request(
            method, stack.env["DISPATCH_ENDPOINTS_URL"] + path, timeout=30, **options
        )

    return send
