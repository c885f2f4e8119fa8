"""Base images, images and functions: kept, built, proved, replaced and rolled back."""

import base64
import contextlib
import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
from lib.wait import eventually

BASE = "/v1/baseimage"
IMAGE = "/v1/image"
FUNCTION = "/v1/function"
NOTHING_TO_INSTALL = "nothing was to be installed: the same dependencies were before"
HELLO = "def handle(ctx, payload):\n    return {'said': payload.get('name')}\n"


def tar_header(name: str, size: int, kind: bytes = b"0") -> bytes:
    header = bytearray(512)
    header[: len(name)] = name.encode()
    header[100:107] = b"0000644"
    header[124:135] = b"%011o" % size
    header[148:156] = b" " * 8
    header[156:157] = kind
    header[257:262] = b"ustar"
    header[148:155] = b"%06o\0" % sum(header)
    return bytes(header)


def archive(files: dict) -> str:
    """As VMware's CLI makes it: no padding behind the last file, no final blocks."""
    tar = b""
    for name, text in files.items():
        tar += b"\0" * (-len(tar) % 512)
        tar += tar_header(name, len(text)) + text.encode()
    return base64.b64encode(gzip.compress(tar)).decode()


def ready(client, path: str, timeout: float = 40) -> dict:
    """The object once it is READY or in ERROR."""
    shown = {}

    def settled():
        shown.clear()
        shown.update(client.get(path, expect=200).json())
        return shown["status"] in ("READY", "ERROR") and "next" not in shown

    eventually(settled, f"{path} settles", timeout)
    return client.get(path, expect=200).json()


@pytest.fixture(scope="module")
def python(org, name):
    """An image of Python without dependencies, READY."""
    base, image = name("base"), name("image")
    made = org.post(
        BASE,
        {"name": base, "dockerUrl": "dispatchframework/python3-base:0.0.13", "language": "python3",
         "groups": None, "reason": None, "tags": None},
        expect=201,
    ).json()  # fmt: skip
    assert made["kind"] == "BaseImage" and made["status"] == "INITIALIZED" and made["id"]
    made = org.post(IMAGE, {"name": image, "baseImageName": base}, expect=201).json()
    assert made["kind"] == "Image" and made["language"] == "python3"
    assert ready(org, f"{BASE}/{base}")["status"] == "READY"
    shown = ready(org, f"{IMAGE}/{image}")
    assert shown["status"] == "READY" and shown["reason"] == []
    return image


def base_of(org, image: str) -> str:
    return org.get(f"{IMAGE}/{image}", expect=200).json()["baseImageName"]


def test_what_cannot_run_here_says_why(org, name):
    called = name("base")
    org.post(BASE, {"name": called, "dockerUrl": "x/clojure-base:1", "language": "clojure"}, expect=201)
    shown = ready(org, f"{BASE}/{called}")
    assert shown["status"] == "ERROR" and "no process runtime" in shown["reason"][0]
    on_it = name("image")
    org.post(IMAGE, {"name": on_it, "baseImageName": called}, expect=201)
    shown = ready(org, f"{IMAGE}/{on_it}")
    assert shown["status"] == "ERROR" and called in shown["reason"][0]
    # Mended, and what stands on it too when it is written again.
    put = {"name": called, "dockerUrl": "x/python3-base:1", "language": ""}
    assert org.put(f"{BASE}/{called}", put, expect=200).json()["status"] == "UPDATING"
    assert ready(org, f"{BASE}/{called}")["status"] == "READY"
    org.put(f"{IMAGE}/{on_it}", {"name": on_it, "baseImageName": called}, expect=200)
    assert ready(org, f"{IMAGE}/{on_it}")["status"] == "READY"
    org.delete(f"{IMAGE}/{on_it}", expect=200)
    assert org.delete(f"{BASE}/{called}", expect=200).json()["name"] == called
    org.get(f"{BASE}/{called}", expect=404)


def test_powershell_says_what_it_needs(org, name):
    called = name("base")
    org.post(BASE, {"name": called, "dockerUrl": "dispatchframework/powershell-base:0.0.14"}, expect=201)
    shown = ready(org, f"{BASE}/{called}")
    if shutil.which("pwsh", path="/usr/local/bin:/usr/bin:/usr/sbin"):
        assert shown["status"] == "READY", shown
    else:
        assert shown["status"] == "ERROR" and "install PowerShell 7" in shown["reason"][0], shown
    org.delete(f"{BASE}/{called}", expect=200)


def test_references_hold(org, name, python):
    assert base_of(org, python) in [shown["name"] for shown in org.get(BASE, expect=200).json()]
    answer = org.post(IMAGE, {"name": name("image"), "baseImageName": "no-such"}, expect=400)
    assert answer.json()["message"] == "Error fetching base image no-such"
    answer = org.delete(f"{BASE}/{base_of(org, python)}", expect=409)
    assert python in answer.json()["message"]
    source = archive({"./hello.py": HELLO})
    answer = org.post(
        FUNCTION, {"name": name("fn"), "image": "no-such", "source": source}, expect=400
    )
    assert answer.json()["message"] == "Error fetching image no-such"


def test_what_is_used_stays(org, name, python):
    """A secret of functions and drivers, a function of endpoints: 409 names who has it."""
    secret, called, api, driver = name("secret"), name("fn"), name("api"), name("driver")
    org.post("/v1/secret", {"name": secret, "secrets": {"word": "x"}}, expect=201)
    source = archive({"./hello.py": HELLO})
    body = {"name": called, "image": python, "source": source}
    org.post(FUNCTION, {**body, "secrets": [secret]}, expect=201)
    # Also before its version serves.
    assert f"function '{called}'" in org.delete(f"/v1/secret/{secret}", expect=409).json()["message"]
    assert ready(org, f"{FUNCTION}/{called}")["status"] == "READY"
    assert f"function '{called}'" in org.delete(f"/v1/secret/{secret}", expect=409).json()["message"]
    org.post("/v1/event/drivers", {"name": driver, "type": "ticker", "secrets": [secret]}, expect=201)
    org.post("/v1/api", {"name": api, "function": called, "uris": [f"/{api}"]}, expect=200)
    assert f"api '{api}'" in org.delete(f"{FUNCTION}/{called}", expect=409).json()["message"]
    org.delete(f"/v1/api/{api}", expect=200)
    org.delete(f"{FUNCTION}/{called}", expect=200)
    assert f"driver '{driver}'" in org.delete(f"/v1/secret/{secret}", expect=409).json()["message"]
    org.delete(f"/v1/event/drivers/{driver}", expect=200)
    org.delete(f"/v1/secret/{secret}", expect=204)


def test_images_are_selected_by_tags(org, name, python):
    called = name("image")
    tags = [{"key": "Application", "value": called}]
    org.post(IMAGE, {"name": called, "baseImageName": base_of(org, python), "tags": tags}, expect=201)
    shown = org.get(f"{IMAGE}?tags=Application={called}", expect=200).json()
    assert [image["name"] for image in shown] == [called]
    ready(org, f"{IMAGE}/{called}")
    org.delete(f"{IMAGE}/{called}", expect=200)


def test_system_packages_are_recorded(org, name, python):
    called = name("image")
    packages = [{"name": "curl", "version": "7.0"}]
    org.post(
        IMAGE,
        {"name": called, "baseImageName": base_of(org, python),
         "systemDependencies": {"packages": packages}, "runtimeDependencies": {"manifest": "# none\n"}},
        expect=201,
    )  # fmt: skip
    shown = ready(org, f"{IMAGE}/{called}")
    assert shown["status"] == "READY" and "not installed" in shown["reason"][0]
    assert shown["systemDependencies"]["packages"] == packages
    org.delete(f"{IMAGE}/{called}", expect=200)


def test_a_build_that_fails_tells_in_the_tools_words(org, name, python):
    called = name("image")
    manifest = "--no-index\nthere-is-no-such-package==1\n"
    org.post(
        IMAGE,
        {"name": called, "baseImageName": base_of(org, python),
         "runtimeDependencies": {"manifest": manifest}},
        expect=201,
    )  # fmt: skip
    shown = ready(org, f"{IMAGE}/{called}")
    assert shown["status"] == "ERROR"
    assert "there-is-no-such-package" in shown["reason"][0]
    org.delete(f"{IMAGE}/{called}", expect=200)


def test_answers_wait_until_it_is_ready(org, name, python):
    called = name("fn")
    body = {"name": called, "image": python, "source": archive({"./hello.py": HELLO})}
    made = org.post(f"{FUNCTION}?wait=READY&timeout=60s", body, expect=201).json()
    assert made["status"] == "READY" and made["revision"] == org.get(f"{FUNCTION}/{called}").json()["revision"]
    body["source"] = archive({"./hello.py": HELLO.replace("said", "told")})
    changed = org.put(f"{FUNCTION}/{called}?wait=READY&timeout=60s", body, expect=200).json()
    assert changed["status"] == "READY" and changed["faasId"] != made["faasId"]
    body["source"] = archive({"./hello.py": "import time\ntime.sleep(5)\n" + HELLO})
    changed = org.put(f"{FUNCTION}/{called}?wait=READY&timeout=200ms", body, expect=200).json()
    assert changed["status"] == "UPDATING"
    org.get(f"{FUNCTION}/{called}?wait=soon", expect=400)
    org.delete(f"{FUNCTION}/{called}", expect=200)


def test_a_build_is_told_while_it_works(stack, org, name, bases):
    called, again = name("image"), name("image")
    script = f"echo begun {called}; while [ ! -e go ]; do sleep 0.1; done; echo ended {called}"
    manifest = json.dumps({"scripts": {"preinstall": script}, "dependencies": {"ms": "2.1.3"}})
    body = {"name": called, "baseImageName": bases("nodejs"), "runtimeDependencies": {"manifest": manifest}}
    org.post(IMAGE, body, expect=201)

    def begun():
        shown = org.get(f"{IMAGE}/{called}", expect=200).json()
        return shown if f"begun {called}" in shown.get("log", []) else None

    shown = eventually(begun, "its words are there", 60)
    assert shown["status"] == "CREATING" and f"ended {called}" not in shown["log"]
    (building_in(stack, called) / "go").touch()
    shown = ready(org, f"{IMAGE}/{called}", 60)
    assert shown["status"] == "READY" and f"ended {called}" in shown["log"] and not shown["reason"]
    # What was installed before is not installed again, and says so.
    shown = image_of(org, again, bases("nodejs"), manifest)
    assert shown["status"] == "READY" and shown["log"] == [NOTHING_TO_INSTALL]
    org.put(f"{IMAGE}/{again}", shown, expect=200)  # what was read may be written back
    for each in (called, again):
        org.delete(f"{IMAGE}/{each}", expect=200)


def building_in(stack, text: str) -> Path:
    """The directory of the build whose manifest has this text; others begin and end beside it."""
    for manifest in (stack.home / "functions" / "images").glob(".making-*/package.json"):
        with contextlib.suppress(FileNotFoundError):
            if text in manifest.read_text():
                return manifest.parent
    raise AssertionError(f"nothing is built with {text}")


def image_of(org, called: str, base: str, manifest: str) -> dict:
    """Makes an image of a language's base with dependencies, and waits."""
    body = {"name": called, "baseImageName": base, "runtimeDependencies": {"manifest": manifest}}
    org.post(IMAGE, body, expect=201)
    return ready(org, f"{IMAGE}/{called}", 120)


@pytest.fixture(scope="module")
def bases(org, name):
    """The name of a READY base image of a language."""
    made = {}

    def base(language: str) -> str:
        if language not in made:
            called = name("base")
            body = {"name": called, "dockerUrl": f"x/{language}-base:1", "language": language}
            org.post(BASE, body, expect=201)
            shown = ready(org, f"{BASE}/{called}")
            assert shown["status"] == "READY", shown["reason"]
            made[language] = called
        return made[language]

    return base


def answer_of(org, name, image: str, file: str, text: str, payload, **fields) -> object:
    """What a function of one file on an image answers."""
    called = name("fn")
    body = {"name": called, "image": image, "source": archive({file: text}), **fields}
    org.post(FUNCTION, body, expect=201)
    shown = ready(org, f"{FUNCTION}/{called}")
    assert shown["status"] == "READY", shown["reason"]
    run = {"blocking": True, "input": payload}
    done = org.post(f"/v1/runs?functionName={called}", run, expect=200).json()
    org.delete(f"{FUNCTION}/{called}", expect=200)
    assert done["status"] == "READY", done
    return done["output"]


@pytest.mark.parametrize(
    "language, manifest, missing, file, text, answer",
    [
        (
            "python3",
            "iniconfig==2.0.0\n",
            "no-package-has-this-name==1\n",
            "f.py",
            "import iniconfig\n\n\ndef handle(ctx, payload):\n    return iniconfig.__file__\n",
            "/image/lib/iniconfig/__init__.py",
        ),
        (
            "nodejs",
            '{"dependencies": {"ms": "2.1.3"}}',
            '{"dependencies": {"@dispatch-tests/no-package-has-this-name": "1"}}',
            "f.js",
            "const ms = require('ms'); module.exports = (c, p) => ms(p);\n",
            172800000,
        ),
    ],
    ids=["python3", "nodejs"],
)
def test_dependencies_are_installed(org, name, bases, language, manifest, missing, file, text, answer):
    base, called, second, wrong = bases(language), name("image"), name("image"), name("image")
    shown = image_of(org, called, base, manifest)
    assert shown["status"] == "READY", shown["reason"]
    assert answer_of(org, name, called, file, text, "2 days") == answer
    # Made of the same, it is the same: nothing is installed again.
    shown = image_of(org, second, base, manifest)
    assert shown["status"] == "READY" and shown["log"] == [NOTHING_TO_INSTALL]
    shown = image_of(org, wrong, base, missing)
    assert shown["status"] == "ERROR"
    assert "no-package-has-this-name" in shown["reason"][0]
    for each in (called, second, wrong):
        org.delete(f"{IMAGE}/{each}", expect=200)


GREETING = """import java.util.Map;
public class Hello {
  record Person(String name, String place) {}
  public Map<String, String> handle(Map<String, Object> context, Person p) {
    return Map.of("myField", "Hello, " + p.name() + " from " + p.place());
  }
}
"""


@pytest.mark.skipif(not os.path.exists("/usr/bin/java"), reason="NO JAVA HERE: its functions are not tested")
def test_functions_of_java(org, name, bases):
    image = name("image")
    assert image_of(org, image, bases("java"), "")["status"] == "READY"
    person = {"name": "Jon", "place": "Winterfell"}
    said = answer_of(org, name, image, "Hello.java", GREETING, person, handler="Hello")
    assert said == {"myField": "Hello, Jon from Winterfell"}


@pytest.mark.long  # Maven loads itself first
@pytest.mark.skipif(not os.path.exists("/usr/bin/mvn"), reason="NO MAVEN HERE: its images are not tested")
def test_dependencies_of_java(org, name, bases):
    image, wrong = name("image"), name("image")
    pom = (
        "<project><modelVersion>4.0.0</modelVersion><groupId>f</groupId><artifactId>f</artifactId>"
        "<version>1</version><dependencies><dependency><groupId>com.google.code.gson</groupId>"
        "<artifactId>gson</artifactId><version>%s</version></dependency></dependencies></project>"
    )
    shown = image_of(org, image, bases("java"), pom % "2.10.1")
    assert shown["status"] == "READY", shown["reason"]
    source = (
        "public class F { public Object handle(java.util.Map<?, ?> c, Object p) "
        "{ return new com.google.gson.Gson().toJson(p); } }"
    )
    assert answer_of(org, name, image, "F.java", source, {"a": [1]}) == '{"a":[1]}'
    shown = image_of(org, wrong, bases("java"), pom % "0.0.0-none")
    assert shown["status"] == "ERROR" and "gson:jar:0.0.0-none" in shown["reason"][0]
    for each in (image, wrong):
        org.delete(f"{IMAGE}/{each}", expect=200)


def test_bad_functions_are_refused(org, name, python):
    def refused(source, expect=422, **fields):
        body = {"name": name("fn"), "image": python, "source": source, **fields}
        return org.post(FUNCTION, body, expect=expect).json()["message"]

    def tar(header, text=b""):
        return base64.b64encode(gzip.compress(header + text)).decode()

    assert "base64" in refused("***")
    assert "gzip" in refused(base64.b64encode(b"no archive").decode())
    assert "leads out" in refused(archive({"./../x.py": "x"}))
    assert "absolute" in refused(archive({"/x.py": "x"}))
    assert "neither a file nor a directory" in refused(tar(tar_header("link", 0, b"2")))
    assert "unpacks to more" in refused(archive({"./big.py": "x" * 40_000_000}))
    assert "source is required" in refused(None)
    assert "is not a field" in refused(None, sourceDigest="0" * 64)
    good = archive({"./hello.py": HELLO})
    assert "limits.memory" in refused(good, limits={"memory": "1"})
    assert "timeout" in refused(good, timeout=-1)
    assert "runtime" in refused(good, runtime="docker")
    assert "is not a field" in refused(good, sauce="x")


def test_a_function_lives_through_updates(org, name, python):
    called = name("fn")
    path = f"{FUNCTION}/{called}"
    body = {"name": called, "image": python, "source": archive({".//hello.py": HELLO}),
            "schema": {"in": None, "out": None}, "secrets": None, "timeout": 500}  # fmt: skip
    made = org.post(FUNCTION, body, expect=201).json()
    assert made["status"] == "INITIALIZED" and made["faasId"] and made["timeout"] == 500
    org.post(FUNCTION, body, expect=409)
    first = ready(org, path)
    assert first["status"] == "READY", first["reason"]
    assert org.delete(f"{IMAGE}/{python}", expect=409).json()["message"].count(called) == 1
    # The same again changes nothing; a broken one changes nothing but the reason.
    assert org.put(path, body, expect=200).json()["revision"] == first["revision"]
    broken = {**body, "source": archive({"./hello.py": "def handle(:"})}
    assert org.put(path, broken, expect=200).json()["status"] == "UPDATING"
    shown = ready(org, path)
    assert shown["status"] == "READY" and shown["faasId"] == first["faasId"]
    assert "update failed" in shown["reason"][0]
    # Without a source it keeps the one that serves.
    org.put(path, {"name": called, "image": python, "timeout": 900}, expect=200)
    second = ready(org, path)
    assert second["timeout"] == 900 and second["faasId"] != first["faasId"]
    assert second["version"]["sourceDigest"] == first["version"]["sourceDigest"]
    org.post(f"{path}/rollback", {"version": 99}, expect=404)
    org.post(f"{path}/rollback", {}, expect=422)
    oldest = second["versions"][-1]["version"]
    alias = path.replace(FUNCTION, "/v1/functions")
    assert org.post(f"{alias}/rollback", {"version": oldest}, expect=200).json()["next"]
    shown = ready(org, path)
    assert shown["timeout"] == 500 and len(shown["versions"]) == 3
    org.post(f"{path}/rollback", {"version": shown["versions"][1]["version"]}, expect=200)
    ready(org, path)
    assert org.delete(path, expect=200).json()["name"] == called
    org.get(path, expect=404)


def test_a_handler_that_is_none_is_told(org, name, python):
    called = name("fn")
    source = archive({"./hello.py": "def other(): pass\n"})
    org.post(
        FUNCTION,
        {"name": called, "image": python, "source": source, "handler": "hello.handle"},
        expect=201,
    )
    shown = ready(org, f"{FUNCTION}/{called}")
    assert shown["status"] == "ERROR" and "handle" in shown["reason"][0]
    org.delete(f"{FUNCTION}/{called}", expect=200)


@pytest.mark.disruptive
def test_work_is_done_after_a_kill(healthy, org, name, python):
    called = [name("fn") for _ in range(3)]
    for one in called:
        body = {"name": one, "image": python, "source": archive({"./hello.py": HELLO + f"# {one}"})}
        org.post(FUNCTION, body, expect=201)
    healthy.kill("function-manager")
    healthy.restart("function-manager")
    for one in called:
        assert ready(org, f"{FUNCTION}/{one}", 60)["status"] == "READY"
        org.delete(f"{FUNCTION}/{one}", expect=200)


def test_objects_of_the_knative_line(org, name):
    base, image, secret = name("base"), name("image"), name("secret")
    extra = {"revision": "", "org": "", "project": "", "tags": None}
    body = {"name": base, "imageURL": "x/python3-base:1", "language": "python3", **extra}
    made = org.post(BASE, body, expect=201).json()
    assert made["imageURL"] == made["dockerUrl"] == "x/python3-base:1"
    made = org.post(IMAGE, {"name": image, "baseImage": base, **extra}, expect=201).json()
    assert made["baseImage"] == made["baseImageName"] == base
    assert org.get(f"{IMAGE}/{image}", expect=200).json()["baseImage"] == base
    body = {"meta": {"name": secret}, "secrets": {"a": "b"}}
    assert org.post("/v1/secret", body, expect=201).json()["name"] == secret
    assert org.get("/home", expect=200).json()["message"]
