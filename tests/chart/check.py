"""The checks of tests/chart/run, which says what they are about. Each failure is a line; the last line
is a summary."""

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml
from refusals import REFUSALS
from rendered import (
    CHART,
    ROOT,
    SERVICES,
    Helm,
    Rendered,
    by_template,
    component,
    selects,
    settings_of,
    settings_of_help,
    variable_of,
)

sys.path.append(str(ROOT / "tests"))

from lib.report import Report  # noqa: E402

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
CASES = {
    "default": [],
    "dev": [CHART / "values-dev.yaml"],
    "minimal": [HERE / "values/minimal.yaml"],
    "full": [HERE / "values/full.yaml"],
    "privileged": [HERE / "values/privileged.yaml"],
    "production": [CHART / "examples/values-production.yaml"],
}
VERSIONS = ("1.30", "1.34", "1.37")
# Kinds of operators, whose schemas Kubernetes does not have.
WITHOUT_SCHEMA = {
    "ServiceMonitor", "PrometheusRule", "ScaledObject", "Kafka", "KafkaNodePool", "KafkaUser", "Cluster",
}  # fmt: skip
MONITORING = ROOT / "deploy/monitoring"
# Templates that are a file of the chart as a whole: check_monitoring compares them with it.
FROM_FILES = {"prometheusrule.yaml", "dashboard.yaml"}
# Settings that the chart leaves alone on purpose, and why nobody may set them by `settings`.
NOT_OFFERED = {
    "config": "the environment says it all",
    "instance-id": "all replicas would have one name",
    "functions-engine-socket": "the engine of a node is no sandbox for a pod",
    "drivers-engine-socket": "the engine of a node is no sandbox for a pod",
    "registry-auth-file": "there is no engine to pull",
}


def files_of(case: str) -> list[str]:
    return [word for path in CASES[case] for word in ("--values", str(path))]


def render(helm: Helm, report: Report, case: str) -> Rendered | None:
    linted = helm.lint(*files_of(case))
    report.check("lint", linted.returncode == 0, f"{case}: {linted.stdout}{linted.stderr}")
    done = helm.template(*files_of(case))
    if not report.check("render", done.returncode == 0, f"{case}: {done.stderr}"):
        return None
    return Rendered(case, done.stdout)


def validate(report: Report, where: str, item: dict, versions=VERSIONS) -> None:
    if item["kind"] in WITHOUT_SCHEMA:
        return
    for version in versions:
        try:
            kubernetes_validate.validate(item, version, strict=True)
            error = ""
        except Exception as problem:  # noqa: BLE001 - whatever it is, the object did not pass
            error = str(problem).partition("\n")[0]
        name = f"{where}: {item['kind']} {item['metadata']['name']}, Kubernetes {version}"
        report.check("validated", not error, f"{name}: {error}")


def compare_golden(report: Report, rendered: Rendered, update: bool) -> None:
    folder = GOLDEN / rendered.name
    parts = {name: text for name, text in by_template(rendered.text).items() if name not in FROM_FILES}
    if update:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, text in parts.items():
            (folder / name).write_text(text)
    kept = {path.name: path.read_text() for path in folder.glob("*")} if folder.is_dir() else {}
    for name in sorted(parts | kept):
        old, new = kept.get(name, ""), parts.get(name, "")
        lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), "golden", "now", lineterm=""))
        shown = "\n  ".join(lines[:40])
        report.check(
            "golden", old == new,
            f"{rendered.name}/{name} is another: look, then tests/chart/run --update\n  {shown}",
        )  # fmt: skip


def check_selectors(report: Report, rendered: Rendered) -> None:
    def ensure(good, message):
        report.check("consistency", good, f"{rendered.name}: {message}")

    pods = rendered.pods()
    for item in rendered.workloads():
        selector = item["spec"]["selector"]["matchLabels"]
        name = item["metadata"]["name"]
        chosen = [pod for pod, labels, _ in pods if selects(selector, labels)]
        ensure(chosen == [name], f"{name} selects the pods of {chosen}")
        ensure(not any("version" in key or "chart" in key for key in selector),
               f"the selector of {name} would change with an upgrade")  # fmt: skip
    for item in rendered.of("Service"):
        name = item["metadata"]["name"]
        chosen = [pod for pod in pods if selects(item["spec"]["selector"], pod[1])]
        ensure(len(chosen) == 1, f"Service {name} selects {[pod[0] for pod in chosen]}")
        for pod in chosen:
            ports = {port["name"] for container in pod[2]["containers"] for port in container["ports"]}
            for port in item["spec"]["ports"]:
                ensure(port["targetPort"] in ports, f"Service {name}: no port {port['targetPort']}")
    for item in rendered.of("PodDisruptionBudget", "NetworkPolicy"):
        spec = item["spec"]
        selector = (spec.get("selector") or spec.get("podSelector"))["matchLabels"]
        chosen = [pod[0] for pod in pods if selects(selector, pod[1])]
        ensure(chosen == [item["metadata"]["name"]], f"{item['kind']} selects {chosen}")
    deployments = rendered.named("Deployment")
    for item in rendered.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = deployments.get(item["spec"]["scaleTargetRef"]["name"])
        ensure(target is not None, f"{item['kind']} scales nothing")
        ensure(target and "replicas" not in target["spec"],
               f"{item['kind']} and the Deployment both say how many")  # fmt: skip
    for item in rendered.of("ServiceMonitor"):
        chosen = {
            component(service)
            for service in rendered.of("Service")
            if selects(item["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
        }
        ensure(chosen == set(SERVICES), f"ServiceMonitor scrapes {sorted(chosen)}")
    services = rendered.named("Service")
    for item in rendered.of("Ingress"):
        for path in item["spec"]["rules"][0]["http"]["paths"]:
            backend = path["backend"]["service"]
            ports = [port["name"] for port in services[backend["name"]]["spec"]["ports"]]
            ensure(backend["port"]["name"] in ports, f"Ingress {item['metadata']['name']}: no such port")


def check_pods(report: Report, rendered: Rendered) -> None:
    def ensure(good, message):
        report.check("consistency", good, f"{rendered.name}: {message}")

    ensure(not rendered.of("Secret"), "a Secret is rendered: secrets are named only")
    for name, labels, spec in rendered.pods():
        ours = not labels["app.kubernetes.io/component"].startswith("dev-")
        # The one pod whose sandbox needs more (functions.sandbox).
        sandbox = name.endswith("-function-manager") and rendered.name in ("full", "privileged")
        root = sandbox and rendered.name == "privileged"
        pod = spec["securityContext"]
        ensure(pod.get("runAsNonRoot") is True or root, f"{name} may run as root")
        ensure(not ours or pod["runAsUser"] == (0 if root else 10001), f"{name} has another user")
        ensure(pod["seccompProfile"]["type"] == "RuntimeDefault" or sandbox, f"{name}: no seccomp")
        ensure(spec["automountServiceAccountToken"] is False, f"{name} has a token")
        ensure(spec["enableServiceLinks"] is False, f"{name} gets variables of Services")
        volumes = {volume["name"] for volume in spec.get("volumes", [])} | {"data"}
        for container in spec.get("initContainers", []) + spec["containers"]:
            security = container["securityContext"]
            strict = (
                security.get("allowPrivilegeEscalation") is False
                and security.get("capabilities", {}).get("drop") == ["ALL"]
            )
            ensure(strict or (root and security.get("privileged")), f"{name}: privileges to be had")
            ensure(security.get("readOnlyRootFilesystem") or "kafka" in name, f"{name}: root is writable")
            ensure("memory" in container["resources"]["limits"], f"{name}: memory without a limit")
            ensure({m["name"] for m in container["volumeMounts"]} <= volumes, f"{name}: mounts nothing")
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            ensure(len(paths) == len(set(paths)), f"{name}: two mounts at one place")
    for service in SERVICES:
        check_deployment(ensure, rendered, service)


def check_deployment(ensure, rendered: Rendered, service: str) -> None:
    spec = rendered.deployment(service)["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    told = rendered.environment(service)
    rolling = spec["strategy"]["rollingUpdate"]
    ensure(rolling == {"maxUnavailable": 0, "maxSurge": 1}, f"{service}: an update takes one away")
    pre_stop = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = int(told.get("DISPATCH_DRAIN_TIMEOUT", "20s").removesuffix("s"))
    ensure(pod["terminationGracePeriodSeconds"] > pre_stop + drain, f"{service} is killed while it drains")
    probes = [container[key]["httpGet"]["path"] for key in ("startupProbe", "livenessProbe", "readinessProbe")]
    ensure(probes == ["/healthz", "/healthz", "/readyz"], f"{service}: probes ask {probes}")
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    listens = {"admin": "ADMIN_LISTEN", "api": "LISTEN", "endpoints": "ENDPOINTS_LISTEN",
               "endpoints-tls": "ENDPOINTS_TLS_LISTEN"}  # fmt: skip
    for port, variable in listens.items():
        address = told.get("DISPATCH_" + variable)
        ensure((address is None) == (port not in ports), f"{service}: port {port} and {variable} differ")
        ensure(address is None or address == f"0.0.0.0:{ports.get(port)}", f"{service}: {port} at {address}")
    known = {variable_of(name) for name in settings_of(service)}
    unknown = {name for name in told if name.startswith("DISPATCH_")} - known
    ensure(not unknown, f"{service} has no settings {sorted(unknown)}")
    # Files that settings name are mounted; keys are copied by the init container.
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    copied = [Path(word).name for word in pod["initContainers"][0]["command"] if "/keys/" in word]
    for name, value in told.items():
        if name.startswith("DISPATCH_") and value and value.startswith("/"):
            ensure(any(value.startswith(path) for path in mounts), f"{service}: nothing is at {value}")
            if value.startswith("/run/dispatch/keys/"):
                ensure(Path(value).name in copied, f"{service}: {value} is not copied")


def check_monitoring(report: Report, full: Rendered) -> None:
    """Rules and board are those that the stage `monitoring` tries, to the letter."""
    rules = [item["spec"] for item in full.of("PrometheusRule")]
    report.check("consistency", rules == [yaml.safe_load((MONITORING / "alerts.yaml").read_text())],
                 "the PrometheusRule is not deploy/monitoring/alerts.yaml")  # fmt: skip
    boards = [item["data"] for item in full.of("ConfigMap") if item["metadata"]["name"].endswith("-board")]
    board = (MONITORING / "grafana/dispatch.json").read_text()
    report.check("consistency", [json.loads(b["dispatch.json"]) for b in boards] == [json.loads(board)],
                 "the ConfigMap is not deploy/monitoring/grafana/dispatch.json")  # fmt: skip


def check_schema(report: Report) -> None:
    """The settings that the schema takes are those of the services, but what the chart sets."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    templates = "".join(path.read_text() for path in (CHART / "templates").glob("_*.tpl"))
    for service in SERVICES:
        words = service.split("-")
        key = words[0] + "".join(word.capitalize() for word in words[1:])
        offered = set(schema["properties"][key]["properties"]["settings"]["properties"])
        table = settings_of(service)
        report.check("consistency", offered <= table, f"{service} has no {sorted(offered - table)}: see the schema")
        by_chart = {
            name for name in table
            if f'set $s "{name}"' in templates or f"name: {variable_of(name)}\n" in templates
        }  # fmt: skip
        report.check("consistency", not offered & by_chart, f"{service}: set twice: {sorted(offered & by_chart)}")
        left = table - offered - by_chart - set(NOT_OFFERED)
        report.check("consistency", not left, f"{service}: {sorted(left)} can be set nowhere: add to the schema")


def check_checksum(helm: Helm, report: Report, default: Rendered) -> None:
    """A changed setting restarts the service that reads it, and no other."""
    done = helm.template("--set", "eventManager.settings.max-pending=7")
    if not report.check("render", done.returncode == 0, f"max-pending=7: {done.stderr}"):
        return
    changed = Rendered("changed", done.stdout)
    for service in SERVICES:
        old, new = (
            r.deployment(service)["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
            for r in (default, changed)
        )
        report.check("consistency", (old != new) == (service == "event-manager"),
                     f"{service}: checksum after another's setting")  # fmt: skip


def check_refusals(helm: Helm, report: Report) -> None:
    for values, expected in REFUSALS:
        done = helm.template(*[word for value in values for word in ("--set", value)])
        said = done.stderr
        missing = [text for text in expected if text not in said]
        report.check("refused", done.returncode != 0 and not missing, f"{values}: exit code "
                     f"{done.returncode}, without {missing}: {said}")  # fmt: skip


def check_binaries(report: Report, renderings: list[Rendered], folder: Path) -> bool:
    """The services take what they are told: the first thing that they miss is the key file."""
    if not all((folder / service).is_file() for service in SERVICES):
        return False
    for service in SERVICES:
        text = subprocess.run([folder / service, "--help"], capture_output=True, text=True).stdout
        differ = settings_of_help(text) ^ settings_of(service)
        report.check("binaries", not differ, f"{service} --help and its source differ: {sorted(differ)}")
        for rendered in renderings:
            told = {k: v for k, v in rendered.environment(service).items() if v and k.startswith("DISPATCH_")}
            if service != "api-gateway":
                told["DISPATCH_PG_URL"] = "postgresql://nobody@127.0.0.1:1/none"
            told["DISPATCH_ADMIN_LISTEN"] = "127.0.0.1:0"
            with tempfile.TemporaryDirectory() as empty:
                told["DISPATCH_SERVICE_KEY_FILE"] = f"{empty}/service.key"
                if "DISPATCH_OTLP_HEADERS_FILE" in told:
                    headers = Path(empty, "headers")
                    headers.touch(mode=0o600)
                    headers.write_text("Authorization: Bearer x\n")
                    told["DISPATCH_OTLP_HEADERS_FILE"] = str(headers)
                environment = {"PATH": os.environ["PATH"], **told}
                done = subprocess.run(
                    [folder / service], env=environment, capture_output=True, text=True, timeout=30
                )
            good = done.returncode == 1 and "service.key" in done.stderr
            report.check("binaries", good, f"{service} at {rendered.name}: {done.returncode}: {done.stderr[-400:]}")
    return True


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--helm", required=True)
    parser.add_argument("--preset", default="release")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    helm, report, renderings = Helm(options.helm), Report("chart"), []
    for case in CASES:
        rendered = render(helm, report, case)
        if rendered is None:
            continue
        renderings.append(rendered)
        for item in rendered.objects:
            validate(report, case, item)
        compare_golden(report, rendered, options.update)
        check_selectors(report, rendered)
        check_pods(report, rendered)
    for path in sorted((CHART / "examples").glob("*.yaml")):
        for item in yaml.safe_load_all(path.read_text()):
            known = "kind" not in item or item["kind"] in WITHOUT_SCHEMA
            report.check("examples", known, f"{path.name}: {item.get('kind')}")
    for rendered in renderings:
        if rendered.name == "full":
            check_monitoring(report, rendered)
    check_schema(report)
    if renderings and renderings[0].name == "default":
        check_checksum(helm, report, renderings[0])
    check_refusals(helm, report)
    if not check_binaries(report, renderings, ROOT / "build" / options.preset / "bin"):
        print("chart: the services are not built: that they take these settings was not tried")
    print(report.summary())
    return 1 if report.failures else 0


sys.exit(main())
