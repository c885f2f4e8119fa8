"""Renders the chart, and what is asked of what came out."""

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/kubernetes/dispatch"
SERVICES = ("identity", "event-manager", "function-manager", "api-gateway")
KUBERNETES = "1.34.0"


class Helm:
    def __init__(self, path: str):
        self.path = path

    def run(self, verb: str, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.path, verb, *arguments], capture_output=True, text=True)

    def lint(self, *options: str) -> subprocess.CompletedProcess:
        return self.run("lint", "--strict", "--quiet", "--kube-version", KUBERNETES, str(CHART), *options)

    def template(self, *options: str) -> subprocess.CompletedProcess:
        return self.run(
            "template", "dispatch", str(CHART), "--namespace", "events",
            "--kube-version", KUBERNETES, *options,
        )  # fmt: skip


def by_template(text: str) -> dict[str, str]:
    """Rendered text -> the text of each template, documents in Helm's order."""
    parts: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", text, flags=re.M):
        match = re.match(r"# Source: dispatch/templates/(\S+)\n", document)
        if match:
            body = document[match.end() :].strip("\n")
            parts.setdefault(match[1].replace("/", "-"), []).append(body)
    return {name: "\n---\n".join(bodies) + "\n" for name, bodies in parts.items()}


class Rendered:
    """Objects of one rendering."""

    def __init__(self, name: str, text: str):
        self.name = name
        self.text = text
        self.objects = [document for document in yaml.safe_load_all(text) if document]

    def of(self, *kinds: str) -> list[dict]:
        return [item for item in self.objects if item["kind"] in kinds]

    def named(self, kind: str) -> dict[str, dict]:
        return {item["metadata"]["name"]: item for item in self.of(kind)}

    def workloads(self) -> list[dict]:
        return self.of("Deployment", "StatefulSet")

    def deployment(self, service: str) -> dict:
        (found,) = [item for item in self.of("Deployment") if component(item) == service]
        return found

    def pods(self) -> list[tuple[str, dict, dict]]:
        """(name, labels, spec) of every pod that there may be."""
        made = [
            (item["metadata"]["name"], item["spec"]["template"]["metadata"]["labels"],
             item["spec"]["template"]["spec"])
            for item in self.workloads()
        ]  # fmt: skip
        plain = [
            (item["metadata"]["name"], item["metadata"]["labels"], item["spec"])
            for item in self.of("Pod")
        ]
        return made + plain

    def environment(self, service: str) -> dict[str, str | None]:
        """What the service is told; None where a Secret has it."""
        container = self.deployment(service)["spec"]["template"]["spec"]["containers"][0]
        told: dict[str, str | None] = {}
        for source in container["envFrom"]:
            told.update(self.named("ConfigMap")[source["configMapRef"]["name"]]["data"])
        for variable in container.get("env", []):
            told[variable["name"]] = variable.get("value")
        return told


def component(item: dict) -> str:
    return item["metadata"]["labels"]["app.kubernetes.io/component"]


def selects(selector: dict, labels: dict) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def settings_of(service: str) -> set[str]:
    """The names in the service's typed table, read from its source."""
    names = re.compile(r'\.name = "([a-z0-9-]+)"')
    common = set(names.findall((ROOT / "common/common_settings.cc").read_text()))
    source = (ROOT / service / "src/main.cc").read_text()
    if "CommonSettings(false" in source:
        common = {name for name in common if not name.startswith("pg-")}
    return common | set(names.findall(source))


def settings_of_help(text: str) -> set[str]:
    """The names in the output of --help."""
    return set(re.findall(r"^  --([a-z0-9-]+)", text, flags=re.M)) - {"help", "version"}


def variable_of(setting: str) -> str:
    return "DISPATCH_" + setting.upper().replace("-", "_")
