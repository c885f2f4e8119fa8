"""Event drivers that are images: containers of an engine that event-manager runs them by. The engine is a strict
stand-in (lib/fake_engine.py); with `-m long` also a real one, where dockerd can be started."""

import json

import pytest
from lib.fake_engine import CREDENTIALS, DRIVER_IMAGE, PRIVATE_IMAGE, FakeEngine, write_credentials
from lib.own_service import OwnService
from lib.wait import eventually
from test_containers import engine  # noqa: F401
from test_drivers import DRIVERS, TYPES, config, is_ready, logs, status

pytestmark = pytest.mark.disruptive  # event-manager runs with other settings meanwhile

TAKEOVER = 20  # seconds: a lease of 5, and what the machine needs


@pytest.fixture(scope="module")
def manager(engine, stack):  # noqa: F811
    engine.credentials = stack.home / "registry.json"
    write_credentials(engine.credentials, known=False)
    running = OwnService(stack, "event-manager", DISPATCH_DRIVERS_ENGINE_SOCKET=str(engine.socket),
                         DISPATCH_REGISTRY_AUTH_FILE=str(engine.credentials))  # fmt: skip
    yield running
    running.stop()
    eventually(lambda: not engine.running(), "no container is left")
    assert not engine.faults, engine.faults


@pytest.fixture(scope="module")
def kind(manager, org, name) -> str:
    called = name("type")
    org.post(TYPES, {"name": called, "image": DRIVER_IMAGE, "config": config(quiet="")}, expect=201)
    return called


@pytest.fixture
def driver(org, topic, name, kind, engine):  # noqa: F811
    """driver(**config) -> the name of a new one; deleted after, with its container."""
    made = []

    def make(type_name: str = kind, secrets=(), **entries) -> str:
        called = name("image")
        body = {"name": called, "type": type_name, "secrets": list(secrets)}
        org.post(DRIVERS, {**body, "config": config(**{"topic": topic, **entries})}, expect=201)
        made.append(called)
        return called

    yield make
    for called in made:
        org.delete(f"{DRIVERS}/{called}", expect=(200, 404))
    eventually(lambda: not containers(engine, *made), "its containers are gone", TAKEOVER)


def containers(engine, *drivers: str) -> set[str]:  # noqa: F811
    """The ids of those that run for any of the drivers."""
    wanted = [f"/{called}" for called in drivers]
    return {
        each.id
        for each in engine.running()
        if any(each.spec["Labels"].get("io.dispatch.name", "").endswith(one) for one in wanted)
    }


def await_line(org, called: str, begin: str, bound: float = 30) -> str:
    def find():
        return next((line for line in logs(org, called) if line.startswith(begin)), None)

    eventually(find, f"{called} says '{begin}'", bound)
    return find()


def test_an_image_gets_what_it_needs_and_its_events_arrive(
    org, name, driver, engine, receiver, subscribe  # noqa: F811
):
    hook, told = receiver.endpoint(), name("told")
    subscribe(hook.url, eventType=told)
    secret = name("weather")
    org.post("/v1/secret", {"name": secret, "secrets": {"apiToken": "12345678"}}, expect=201)
    called = driver(secrets=[secret], units="metric", type=told)
    await_line(org, called, "goes on")
    eventually(lambda: is_ready(org, called), "it runs")
    said = "\n".join(logs(org, called))
    assert f"arguments ['--quiet', '--type={told}', '--units=metric']" in said, said
    assert "secret 8" in said and "12345678" not in said
    # VMware's client's way, ours, and that of its sidecar, without a token: nobody else gets there.
    assert "answers 201 201 201 400 405" in said, said
    if not isinstance(engine, FakeEngine):
        assert "confined Read-only file system written 1 0000000000000000" in said, said
    eventually(lambda: len(hook.requests) == 3, "its events come")
    assert {"in": "a container"} in [json.loads(each.body) for each in hook.requests]
    (running,) = containers(engine, called)
    org.put(f"/v1/secret/{secret}", {"name": secret, "secrets": {"apiToken": "1234"}}, expect=201)
    eventually(lambda: "secret 4" in logs(org, called), "it has the new value")
    eventually(lambda: running not in containers(engine, called), "the one before is gone")
    assert len(containers(engine, called)) == 1


def test_one_that_ends_is_started_again_and_tells(org, driver, engine, receiver, subscribe, name):  # noqa: F811
    hook, told = receiver.endpoint(), name("told")
    subscribe(hook.url, eventType=told)
    called = driver(exit=3, type=told)

    def ended_twice():
        return logs(org, called).count("started") >= 2

    eventually(ended_twice, "it is started again", TAKEOVER)
    eventually(lambda: len(hook.requests) >= 6, "the second one's events come, too")

    def in_error():
        now = status(org, called)
        return now["status"] == "ERROR" and "the container exited with status 3" in now["reason"][0]

    eventually(in_error, "it is in error and tells")
    assert "that was all" in logs(org, called)  # a last line without an end
    for pause in ("1 s", "2 s"):
        eventually(lambda pause=pause: f"restarting in {pause}" in str(logs(org, called)), f"it waits {pause}", TAKEOVER)


def test_one_that_used_up_its_memory_tells(org, driver, engine):  # noqa: F811
    if not isinstance(engine, FakeEngine):
        pytest.skip("it would take a gigabyte; test_containers does it with less")
    called = driver()
    await_line(org, called, "goes on")
    (running,) = containers(engine, called)
    engine.containers[running].out_of_memory = True
    engine.containers[running].kill()

    def reason():
        return "used more memory than its limit of 1088 MB" in str(status(org, called)["reason"])

    eventually(reason, "its reason tells")


def test_a_deleted_one_leaves_no_container(org, driver, engine):  # noqa: F811
    called = driver()
    await_line(org, called, "goes on")
    assert containers(engine, called)
    org.delete(f"{DRIVERS}/{called}", expect=200)
    eventually(lambda: not containers(engine, called), "it is gone")


def test_what_a_kill_leaves_is_removed(org, driver, engine, manager):  # noqa: F811
    called, deleted = driver(), driver()
    for each in (called, deleted):
        await_line(org, each, "goes on")
    left = containers(engine, called, deleted)
    manager.kill()
    assert containers(engine, called, deleted) == left  # they outlive it
    manager.start()
    org.delete(f"{DRIVERS}/{deleted}", expect=200)
    eventually(lambda: not left & containers(engine, called, deleted), "what was left is removed")
    eventually(lambda: len(containers(engine, called)) == 1, "it runs again", TAKEOVER)
    eventually(lambda: is_ready(org, called), "it is ready")
    assert not containers(engine, deleted)


def test_who_takes_over_removes_the_container_of_before(org, driver, engine, manager, stack):  # noqa: F811
    called = driver()
    await_line(org, called, "goes on")
    before = containers(engine, called)
    stack._commands["event-manager"][1].update(
        {key.encode(): value.encode() for key, value in manager.settings.items()}
    )
    other = stack.start_another("event-manager")
    try:
        manager.kill()
        eventually(lambda: containers(engine, called) - before, "the other one runs it", TAKEOVER)
        assert len(containers(engine, called)) == 1
    finally:
        manager.start()
        other.terminate()
        other.wait(30)
    eventually(lambda: len(containers(engine, called)) == 1, "it runs again", TAKEOVER)


def test_without_a_lease_it_does_not_run(org, driver, engine, stack):  # noqa: F811
    if not isinstance(engine, FakeEngine):
        pytest.skip("once is enough")
    called = driver()
    await_line(org, called, "goes on")
    stack.kill("postgres")
    try:
        eventually(lambda: not containers(engine, called), "it is ended with its lease", TAKEOVER)
    finally:
        stack.restart("postgres")
        stack.await_ready()
    eventually(lambda: len(containers(engine, called)) == 1, "it runs again", TAKEOVER)


def test_without_its_engine_a_driver_says_so(org, driver, engine):  # noqa: F811
    if not isinstance(engine, FakeEngine):
        pytest.skip("once is enough")
    called = driver(exit=1)
    await_line(org, called, "that was all")
    with engine.away():
        eventually(lambda: "does not answer" in str(status(org, called)["reason"]), "it says so", TAKEOVER)
    eventually(lambda: logs(org, called).count("that was all") > 1, "it goes on", 60)


def test_what_cannot_be_run_is_in_error(org, driver, name, kind):
    missing = name("type")
    org.post(TYPES, {"name": missing, "image": "localhost/no-such:1"}, expect=201)
    called = driver(missing)
    eventually(lambda: status(org, called)["status"] == "ERROR", "it is in error")
    assert "localhost/no-such:1 cannot be pulled" in status(org, called)["reason"][0]
    answer = org.post(TYPES, {"name": "x", "image": "a/../b:1"}, expect=422).json()
    assert "is no reference of an image" in answer["message"]


def test_a_private_image_is_pulled_with_its_registrys_credentials(org, driver, engine, name, stack):  # noqa: F811
    private = name("type")
    org.post(TYPES, {"name": private, "image": PRIVATE_IMAGE}, expect=201)
    called = driver(private)
    eventually(lambda: f"{PRIVATE_IMAGE} cannot be pulled" in str(status(org, called)["reason"]), "it is refused without")
    write_credentials(engine.credentials, known=True)
    await_line(org, called, "goes on", 60)
    for told in (stack.log("event-manager"), str(logs(org, called)), str(status(org, called))):
        assert CREDENTIALS["password"] not in told
    engine.credentials.chmod(0o644)
    other = driver(kind_without_image(org, name))
    eventually(lambda: "chmod 0600" in str(status(org, other)["reason"]), "a file for all is refused")
    engine.credentials.chmod(0o600)


def kind_without_image(org, name) -> str:
    called = name("type")
    org.post(TYPES, {"name": called, "image": "localhost/no-such:2"}, expect=201)
    return called


def test_vmwares_images_go_on_being_built_in(org, driver, engine, name, kind):  # noqa: F811
    ticker = name("type")
    org.post(TYPES, {"name": ticker, "image": "dispatchframework/dispatch-events-ticker:0.1"}, expect=201)
    called = driver(ticker, seconds=1)
    eventually(lambda: is_ready(org, called), "it ticks")
    assert not containers(engine, called)
