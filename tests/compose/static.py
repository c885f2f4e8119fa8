"""What the Dockerfile and the compose files say, without an engine."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml
from report import Report

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/chart"))

from rendered import SERVICES, settings_of, settings_of_help, variable_of  # noqa: E402

COMPOSE = ROOT / "deploy/compose"
DOCKERFILES = [ROOT / "deploy/docker/Dockerfile", *sorted(ROOT.glob("tests/compose/*/Dockerfile"))]
FILES = {
    "compose.yaml": ["compose.yaml"],
    "compose.ha.yaml": ["compose.yaml", "compose.ha.yaml"],
    "compose.ci.yaml": ["compose.yaml", "compose.ci.yaml"],
}
PROFILES = ["--profile", "*"]
# Not images of ours: their healthcheck stands in compose.yaml.
FOREIGN = ("kafka", "postgresql")
ONE_SHOT = ("secrets", "cli", "demo")


def base_of(name: str) -> str:
    """event-manager-2 is an event-manager."""
    return re.sub(r"-\d$", "", name)


def seconds(duration: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"(\d+)([smh])", duration)
    return sum(int(number) * units[unit] for number, unit in parts)


def configuration(compose: str, files: list[str], report: Report, what: str) -> dict:
    """The model that the files make, with nothing of this shell's environment."""
    named = [word for file in files for word in ("-f", str(COMPOSE / file))]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run([compose, *named, *PROFILES, "config", "--format", "json"],
                          env=environment, capture_output=True, text=True)  # fmt: skip
    quiet = subprocess.run([compose, *named, "config", "-q"], env=environment, capture_output=True, text=True)
    good = done.returncode == 0 and quiet.returncode == 0 and not quiet.stderr
    report.check(good, f"{what}: docker compose config -q", done.stderr[-600:] + quiet.stderr[-600:])
    return json.loads(done.stdout) if done.returncode == 0 else {}


def check_services(model: dict, what: str, report: Report) -> None:
    hardening, limits, waiting, told, published = [], [], [], [], []
    for name, service in model["services"].items():
        base = base_of(name)
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"] or service.get("privileged"):
            hardening.append(name)
        if "no-new-privileges:true" not in service.get("security_opt", []):
            hardening.append(f"{name} may gain privileges")
        if not service.get("mem_limit") or service.get("memswap_limit") != service["mem_limit"]:
            limits.append(f"{name} has no limit of memory, or swap")
        if not service.get("pids_limit") or not service.get("logging", {}).get("options", {}).get("max-size"):
            limits.append(f"{name} has no limit of processes or logs")
        if not re.search(r":(?!latest$)[\w.-]*\d[\w.-]*$", service["image"]):
            limits.append(f"{name}: {service['image']} is not pinned")
        if base not in FOREIGN and service.get("pull_policy") != "never":
            limits.append(f"{name}: {service['image']} would be asked of a registry")
        if base not in ONE_SHOT and service.get("restart") != "unless-stopped":
            waiting.append(f"{name} is not started again")
        if base in FOREIGN and not service.get("healthcheck", {}).get("test"):
            waiting.append(f"{name} has no healthcheck")
        needs = {key: value["condition"] for key, value in service.get("depends_on", {}).items()}
        waiting += [f"{name} does not wait for {key}" for key, condition in needs.items()
                    if condition != ("service_completed_successfully" if key == "secrets" else "service_healthy")]  # fmt: skip
        if base in SERVICES:
            brokers = {key for key in model["services"] if base_of(key) == "kafka"}
            wanted = {"secrets"} | brokers | ({"postgresql"} if base != "api-gateway" else set())
            waiting += [f"{name} does not wait for {sorted(wanted - set(needs))}"] if wanted - set(needs) else []
            grace, drain = service["stop_grace_period"], service["environment"]["DISPATCH_DRAIN_TIMEOUT"]
            if seconds(grace) <= seconds(drain):
                waiting.append(f"{name} is killed after {grace}, and drains for {drain}")
            known = {variable_of(setting) for setting in settings_of(base)}
            told += sorted(f"{name}: {key}" for key in set(service["environment"]) - known)
        for port in service.get("ports", []):
            if base != "api-gateway" or port.get("host_ip") != "127.0.0.1":
                published.append(f"{name}: {port}")
        for mount in service.get("volumes", []):
            if mount["type"] == "bind" and not Path(mount["source"]).is_file():
                told.append(f"{name}: nothing is at {mount['source']}")
    report.none(hardening, f"{what}: read-only roots, no capabilities, no new privileges")
    report.none(limits, f"{what}: limits of memory, swap, processes and logs; images are pinned, or built here")
    report.none(waiting, f"{what}: health, restart, order, and more grace than drain-timeout")
    report.none(told, f"{what}: each setting is one of the service, each file is there")
    report.none(published, f"{what}: only the gateway is published, on the loopback")
    names = [port["published"] for s in model["services"].values() for port in s.get("ports", [])]
    report.check(len(names) == len(set(names)), f"{what}: no port twice", str(names))
    copies = [s["environment"]["DISPATCH_INSTANCE_ID"] for n, s in model["services"].items() if base_of(n) in SERVICES]
    report.check(len(copies) == len(set(copies)), f"{what}: no instance-id twice", str(copies))


def check_example(report: Report) -> None:
    """.env.example has every variable of the files, with the default that it has there."""
    used: dict[str, set] = {}
    for file in ("compose.yaml", "compose.ha.yaml"):
        for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", (COMPOSE / file).read_text()):
            used.setdefault(name, set()).add(default)
    shown = dict(re.findall(r"^#(\w+)=(.*)$", (COMPOSE / ".env.example").read_text(), flags=re.M))
    faults = sorted(used.keys() ^ shown.keys())
    faults += [f"{name}: {shown[name]}" for name in used.keys() & shown.keys() if shown[name] not in used[name]]
    report.none(faults, "compose: .env.example has each variable with its default", f"{len(shown)} variables")
    chart = yaml.safe_load((ROOT / "deploy/kubernetes/dispatch/values.yaml").read_text())["dev"]
    same = used["KAFKA_IMAGE"] == {chart["kafkaImage"]} and used["POSTGRES_IMAGE"] == {chart["postgresqlImage"]}
    report.check(same, "compose: Kafka and PostgreSQL as in the chart", f"{used['KAFKA_IMAGE']}, {used['POSTGRES_IMAGE']}")
    version = yaml.safe_load((ROOT / "deploy/kubernetes/dispatch/Chart.yaml").read_text())["appVersion"]
    project = re.search(r"project\(dispatch VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    report.check(used["DISPATCH_VERSION"] == {version} == {project}, "compose: the version is that of the project", version)


def check_dockerfile(hadolint: str, binaries: Path, report: Report) -> None:
    for file in DOCKERFILES:
        done = subprocess.run([hadolint, str(file)], capture_output=True, text=True, cwd=ROOT)
        where = file.relative_to(ROOT)
        report.check(done.returncode == 0, f"{where}: hadolint", (done.stdout + done.stderr)[-800:])
    text = DOCKERFILES[0].read_text().replace("\\\n", " ")
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", text, flags=re.M | re.S))
    faults = []
    for target in (*SERVICES, "cli"):
        if target not in stages or "\nUSER 10001:10001\n" not in stages[target]:
            faults.append(f"{target}: no user 10001")
    for service in SERVICES:
        given = set(re.findall(r"\b(DISPATCH_\w+)=", stages[service] + stages["service"]))
        faults += [f"{service}: {name}" for name in given - {variable_of(s) for s in settings_of(service)}]
    report.none(faults, "Dockerfile: users, and settings of the services", f"{len(stages)} stages")
    built = [service for service in SERVICES if (binaries / service).is_file()]
    faults = []
    for service in built:
        done = subprocess.run([binaries / service, "--help"], capture_output=True, text=True)
        if settings_of_help(done.stdout) != settings_of(service):
            faults.append(service)
    report.none(faults, "settings are those of the services' --help", f"{len(built)} of {len(SERVICES)} are built")


def check(report: Report, compose: str, hadolint: str, binaries: Path) -> None:
    check_dockerfile(hadolint, binaries, report)
    for what, files in FILES.items():
        model = configuration(compose, files, report, what)
        if model:
            check_services(model, what, report)
    check_example(report)
