"""Functions in containers: base images that no language worker runs, by a container engine's API. The engine is a
strict stand-in (lib/fake_engine.py); with `-m long` also a real one, where dockerd can be started."""

import os
import threading
import time

import pytest
from lib.docker import DockerEngine
from lib.fake_engine import DIGEST, IMAGE, PRIVATE_IMAGE, FakeEngine, write_credentials
from lib.own_service import OwnService
from lib.wait import eventually
from test_functions import BASE, FUNCTION, archive, ready
from test_functions import IMAGE as IMAGES

pytestmark = pytest.mark.disruptive  # function-manager runs with other settings meanwhile

RUNS = "/v1/runs"


@pytest.fixture(scope="module", params=["fake", pytest.param("docker", marks=pytest.mark.long)])
def engine(request, stack):
    if os.geteuid() != 0:
        pytest.skip("SKIPPED: containers are reached through their network namespaces, which only root may enter")
    if request.param == "docker":
        reason = DockerEngine.missing()
        if reason:
            pytest.skip(f"SKIPPED: no container engine was tried: {reason}")
        running = DockerEngine(stack.home / "docker")
    else:
        running = FakeEngine(stack.home / "engine.sock")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def manager(engine, stack):
    credentials = engine.credentials = stack.home / "registry.json"
    write_credentials(credentials, known=False)
    running = OwnService(stack, "function-manager", DISPATCH_FUNCTIONS_ENGINE_SOCKET=str(engine.socket),
                         DISPATCH_FUNCTIONS_IDLE="2s", DISPATCH_REGISTRY_AUTH_FILE=str(credentials))  # fmt: skip
    yield running
    running.stop()
    eventually(lambda: not engine.running(), "no container is left")
    assert not engine.faults, engine.faults


@pytest.fixture(scope="module")
def image(manager, org, name):
    base, called = name("base"), name("image")
    org.post(BASE, {"name": base, "dockerUrl": IMAGE, "language": "ruby"}, expect=201)
    org.post(IMAGES, {"name": called, "baseImageName": base}, expect=201)
    for path in (f"{BASE}/{base}", f"{IMAGES}/{called}"):
        shown = ready(org, path)
        assert shown["status"] == "READY" and shown["reason"] == [], shown
    return called


@pytest.fixture(scope="module")
def make(org, name, image):
    def made(**fields) -> str:
        called = name("fn")
        org.post(FUNCTION, {"name": called, "image": image, "source": archive({"./f.rb": "x"}), **fields}, expect=201)
        shown = ready(org, f"{FUNCTION}/{called}")
        assert shown["status"] == "READY", shown
        return called

    return made


@pytest.fixture(scope="module")
def function(make) -> str:
    return make()


def run(org, called: str, payload, **more) -> dict:
    return org.post(f"{RUNS}?functionName={called}", {"blocking": True, "input": payload, **more}, expect=200).json()


def output(org, called: str, does: str, **payload):
    done = run(org, called, {"do": does, **payload})
    assert done["status"] == "READY", done["error"]
    return done["output"]


def test_a_run_reaches_the_server_in_the_container(org, name, function):
    secret = name("secret")
    org.post("/v1/secret", {"name": secret, "secrets": {"word": "open"}}, expect=201)
    done = run(org, function, {"do": "echo", "n": [1, None]}, secrets=[secret])
    assert done["status"] == "READY", done["error"]
    assert done["output"]["payload"] == {"do": "echo", "n": [1, None]}
    assert done["output"]["context"]["secrets"] == {"word": "open"}
    assert output(org, function, "source") == ["f.rb"]
    environment = output(org, function, "environment")
    assert environment["PORT"] == "8080" and "open" not in str(environment)


def test_its_errors_and_logs_are_the_runs(org, function):
    for given, kind in (("InputError", "InputError"), ("SystemError", "FunctionError")):
        error = run(org, function, {"do": "error", "type": given})["error"]
        assert (error["type"], error["message"], error["stacktrace"]) == (kind, "as asked", ["here"])
    done = run(org, function, {"do": "words", "out": "one", "err": "two"})
    assert done["logs"] == {"stdout": ["one"], "stderr": ["two"]}, done
    told = {"stdout": ["its own"], "stderr": None}
    done = run(org, function, {"do": "words", "out": "one", "err": "two", "logs": told})
    assert done["logs"]["stdout"] == ["its own"] and not done["logs"]["stderr"], done
    for status in (200, 500):
        assert run(org, function, {"do": "broken", "status": status})["error"]["type"] == "SystemError"
    assert output(org, function, "echo")["payload"] == {"do": "echo"}


def test_a_run_over_its_deadline_ends_with_its_container(org, engine, make):
    called = make(timeout=5000)
    assert output(org, called, "echo")["payload"]
    before = [each.id for each in engine.running()]
    begun = time.monotonic()
    error = run(org, called, {"do": "sleep", "seconds": 30})["error"]
    assert error["type"] == "FunctionError" and "exceeded the timeout" in error["message"]
    assert time.monotonic() - begun < 20
    eventually(lambda: set(before) - {each.id for each in engine.running()}, "its container is gone")
    assert output(org, called, "echo")["payload"]


def test_a_container_that_ends_says_why(org, function):
    error = run(org, function, {"do": "exit", "code": 7})["error"]
    assert error["type"] == "FunctionError" and "exit code 7" in error["message"], error
    assert output(org, function, "echo")["payload"]


def test_its_last_answer_counts(org, engine, function):
    """It ends before anybody could know that it wrote nothing more."""
    if not isinstance(engine, FakeEngine):
        pytest.skip("its containers may go on to end for a while")
    for _ in range(5):
        assert output(org, function, "last") == "last words"
        eventually(lambda: not engine.containers, "its end is known")


def test_memory_is_bounded(org, make):
    called = make(limits={"memory": "64Mi"})
    error = run(org, called, {"do": "bomb"})["error"]
    assert error["type"] == "FunctionError" and "more memory than its limit of 64 MB" in error["message"], error


def test_a_flood_of_output_is_cut(org, function):
    done = run(org, function, {"do": "flood"})
    assert done["status"] == "READY", done["error"]
    assert 0 < len("\n".join(done["logs"]["stdout"])) <= 262144
    assert run(org, function, {"do": "words", "out": "after", "err": "it"})["logs"]["stdout"][-1:] == ["after"]


def test_a_function_has_a_network_only_when_it_asks(org, engine, make, function):
    assert output(org, function, "network") == ["lo"]
    called = make(network=True)
    seen = output(org, called, "network")
    (mode,) = {each.spec["HostConfig"]["NetworkMode"] for each in engine.running()
               if called in str(each.spec["Labels"])} if isinstance(engine, FakeEngine) else {"bridge"}
    assert mode == "bridge" and (seen == ["lo"] if isinstance(engine, FakeEngine) else "eth0" in seen)


def test_what_cannot_serve_is_in_error(org, name, image):
    called = name("fn")
    org.post(FUNCTION, {"name": called, "image": image, "handler": "words.x", "source": archive({"./f.rb": "x"})},
             expect=201)  # fmt: skip
    shown = ready(org, f"{FUNCTION}/{called}")
    assert shown["status"] == "ERROR", shown
    assert "ended (exit code 3) before its server was healthy" in shown["reason"][0], shown
    assert "this handler is not known" in shown["reason"][0], shown
    base = name("base")
    org.post(BASE, {"name": base, "dockerUrl": "localhost/no-such:1", "language": "ruby"}, expect=201)
    shown = ready(org, f"{BASE}/{base}")
    assert shown["status"] == "ERROR" and "localhost/no-such:1 cannot be pulled" in shown["reason"][0], shown
    org.put(f"{BASE}/{base}", {"name": base, "dockerUrl": "../containers/x", "language": "ruby"}, expect=200)
    shown = ready(org, f"{BASE}/{base}")
    assert shown["status"] == "ERROR" and "is no reference of an image" in shown["reason"][0], shown


def test_runs_at_once_have_containers_of_their_own(org, make):
    called = make(limits={"concurrency": 2})
    names, threads = [], []
    for _ in range(2):
        mine = org.with_key(org.key)
        threads.append(threading.Thread(target=lambda c=mine: names.append(run(c, called, {"do": "sleep", "seconds": 1}))))
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done["status"] for done in names] == ["READY", "READY"] and time.monotonic() - begun < 10


def test_it_scales_to_zero_and_back(org, engine, function):
    assert output(org, function, "echo")["payload"]
    assert engine.running()
    eventually(lambda: not engine.running(), "all are scaled to zero", 20)
    assert output(org, function, "echo")["payload"]


def test_what_a_kill_leaves_is_removed(org, engine, manager, function):
    assert output(org, function, "echo")["payload"]
    left = {each.id for each in engine.running()}
    assert left
    manager.kill_and_start()
    eventually(lambda: not left & {each.id for each in engine.running()}, "what was left is removed")
    assert output(org, function, "echo")["payload"]


def test_a_deleted_function_leaves_no_container(org, engine, make):
    called = make()
    assert output(org, called, "echo")["payload"]
    org.delete(f"{FUNCTION}/{called}", expect=200)
    eventually(lambda: not any(called in str(each.spec["Labels"]) for each in engine.running()), "it is gone", 20)


def test_the_image_is_named_exactly(org, engine, make):
    if not isinstance(engine, FakeEngine):
        pytest.skip("an imported image has no registry's digest")
    called = make()
    assert output(org, called, "echo")["payload"]
    assert {each.spec["Image"] for each in engine.running()} == {DIGEST}
    engine.images.clear()  # as an engine that was cleaned up: it is pulled again
    eventually(lambda: not engine.running(), "all are scaled to zero", 20)
    assert output(org, called, "echo")["payload"]


def test_a_private_image_is_pulled_with_its_registrys_credentials(org, engine, manager, name):
    for known, expected in ((False, "ERROR"), (True, "READY")):
        write_credentials(engine.credentials, known)
        base = name("base")
        org.post(BASE, {"name": base, "dockerUrl": PRIVATE_IMAGE, "language": "ruby"}, expect=201)
        shown = ready(org, f"{BASE}/{base}")
        assert shown["status"] == expected, shown
        assert known or "cannot be pulled" in shown["reason"][0], shown


def test_a_real_container_is_confined(org, engine, make):
    if isinstance(engine, FakeEngine):
        pytest.skip("the stand-in's containers are processes of this machine")
    called = make()
    assert output(org, called, "write", path="/x") == "Read-only file system"
    assert output(org, called, "write", path="/function/x") == "Read-only file system"
    assert output(org, called, "write", path="/tmp/x") == "written"
    assert output(org, called, "write", path="/tmp/y", pages=80 << 8) == "No space left on device"
    status = output(org, called, "status")
    assert "NoNewPrivs:\t1" in status and "CapEff:\t0000000000000000" in status, status
    assert output(org, called, "fork", most=200).startswith("Resource temporarily unavailable after")


def test_without_its_engine_a_run_says_so(org, engine, manager, function):
    if not isinstance(engine, FakeEngine):
        pytest.skip("once is enough")
    eventually(lambda: not engine.running(), "all are scaled to zero", 20)
    with engine.away():
        error = run(org, function, {"do": "echo"})["error"]
        assert error["type"] == "SystemError" and "container engine" in error["message"], error
    assert output(org, function, "echo")["payload"]
