"""Admin ports, versions, status: what an operator looks at."""

import os
import re
import subprocess

import pytest
from lib.stack import ROOT, SERVICES

BIN = ROOT / "build" / os.environ.get("DISPATCH_PRESET", "release") / "bin"


@pytest.mark.parametrize("service", SERVICES)
def test_healthz(stack, service):
    answer = stack.admin(service, "/healthz")
    assert answer.status_code == 200 and answer.json()["status"] == "ok"


@pytest.mark.parametrize("service", SERVICES)
def test_readyz(stack, service):
    answer = stack.admin(service, "/readyz")
    assert answer.status_code == 200 and answer.json()["status"] == "ready"


@pytest.mark.parametrize("service", SERVICES)
def test_metrics_are_prometheus_text(stack, service):
    answer = stack.admin(service, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = stack.metrics(service)
    assert any(
        sample.startswith("dispatch_build_info{") and service in sample for sample in samples
    )
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
        assert samples[name] > 0
    for line in answer.text.splitlines():
        assert not line.startswith("#") or line.split()[1] in ("HELP", "TYPE")


@pytest.mark.parametrize("service", SERVICES)
def test_unknown_admin_path_is_404(stack, service):
    assert stack.admin(service, "/v1/topics").status_code == 404


@pytest.mark.alone
def test_publishing_is_counted(stack, org, topic):
    before = stack.metric("api-gateway", "dispatch_gateway_events_accepted_total")
    for _ in range(3):
        org.publish(topic)
    assert stack.metric("api-gateway", "dispatch_gateway_events_accepted_total") == before + 3


@pytest.mark.alone
def test_attempts_are_counted(stack, org, topic, hook):
    before = stack.metric(
        "function-manager", "dispatch_delivery_attempts_total", outcome="delivered"
    )
    org.publish(topic)
    org.settled(hook.subscription, matched=1)
    after = stack.metric(
        "function-manager", "dispatch_delivery_attempts_total", outcome="delivered"
    )
    assert after >= before + 1


def test_version_names_what_runs(admin):
    version = admin.with_key(None).get("/v1/version", expect=200).json()
    assert version["version"]
    assert version["commit"] == "" or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", version["commit"])


@pytest.mark.parametrize("program", (*SERVICES, "dispatch"))
def test_each_program_tells_its_version(program, admin):
    binary = BIN / program
    if not binary.exists():
        pytest.skip(f"{binary} is not built")
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    version = admin.with_key(None).get("/v1/version", expect=200).json()
    commit = f" ({version['commit']})" if version["commit"] else ""
    assert told == f"{program} {version['version']}{commit}\n"
    assert version["platform"].startswith("linux/")


def test_status_is_ok_with_every_service_heard(admin):
    status = admin.get("/v1/status", expect=200).json()
    assert status["status"] == "ok"
    assert {s["name"] for s in status["services"]} == {
        "identity",
        "event-manager",
        "function-manager",
    }
    assert all(s["ready"] and s["heardSecondsAgo"] < 10 for s in status["services"])


def test_gateway_health_needs_no_key(admin):
    admin.with_key(None).get("/healthz", expect=200)


def test_secrets_are_in_no_log(stack, org):
    service_key = (stack.home / "keys" / "service.key").read_text().strip()
    for service in SERVICES:
        log = stack.log(service)
        assert service_key not in log
        for key in (stack.admin_key, org.key):
            assert key.rpartition("_")[2] not in log


def test_key_files_are_for_their_owner_only(stack):
    for file in (stack.home / "keys").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
