"""The running stack: addresses out of `run/env`, and its parts killed, stopped and brought back."""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import requests

from .wait import eventually

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "deploy" / "local"
SERVICES = ("identity", "event-manager", "function-manager", "api-gateway")
DATABASES = {
    "identity": "dispatch_identity",
    "event-manager": "dispatch_event_manager",
    "function-manager": "dispatch_function_manager",
}


def read_env(path: Path) -> dict[str, str]:
    """run/env: lines `export NAME=VALUE`, quoted for a shell."""
    values = {}
    for line in path.read_text().splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            values[name] = "".join(shlex.split(value))
    return values


def environment_for(home: Path) -> dict[str, str]:
    """What the tools of deploy/local see: this stack, and no settings of another."""
    kept = ("DISPATCH_PRESET", "DISPATCH_DEPS_DIR")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_") or k in kept}
    return {**clean, "DISPATCH_HOME": str(home)}


class Stack:
    def __init__(self, home: Path):
        self.home = Path(home)
        self.env = read_env(self.home / "run" / "env")
        self.api_url = self.env["DISPATCH_API_URL"]
        self.kafka_brokers = self.env["DISPATCH_KAFKA_BROKERS"]
        self.pg_url = self.env["DISPATCH_PG_SUPERUSER_URL"]
        self.pg_port = int(self.env["DISPATCH_PG_PORT"])
        self.admin_key = Path(self.env["DISPATCH_API_KEY_FILE"]).read_text().strip()
        self._commands: dict[str, tuple] = {}

    @classmethod
    def of_environment(cls) -> "Stack":
        home = os.environ.get("DISPATCH_HOME", str(ROOT / ".dispatch"))
        if not (Path(home) / "run" / "env").exists():
            raise RuntimeError(f"no stack in {home}: start one with deploy/local/up")
        return cls(Path(home))

    # ---- parts

    def parts(self) -> list[str]:
        """Everything that runs or should."""
        return sorted(file.stem for file in (self.home / "run").glob("*.pid"))

    def tool(self, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [LOCAL / name, *arguments],
            env=environment_for(self.home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{name} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def kill(self, part: str, how: str = "KILL") -> None:
        self.tool("kill", part, how)

    def restart(self, part: str, wait: bool = True) -> None:
        self.tool("restart", part, *([] if wait else ["--no-wait"]))

    def pid(self, part: str) -> int | None:
        """Of the live process, else None."""
        name = "kafka-1" if part == "kafka" else part
        for candidate in (name, part):
            file = self.home / "run" / f"{candidate}.pid"
            if file.exists():
                pid = int(file.read_text().split()[0])
                return pid if is_running(pid) else None
        return None

    def terminate(self, part: str, bound: float = 30) -> int:
        """SIGTERM, then waits for the end of the process. Returns its pid."""
        pid = self.pid(part)
        assert pid, f"{part} does not run"
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not is_running(pid), f"{part} stops after SIGTERM", bound)
        return pid

    def start_as_child(self, service: str, **settings: str) -> subprocess.Popen:
        """Takes over from the running one: a process of ours with the same program and settings
        (and `settings`, by their environment's names), so that its exit code can be seen. Its
        output goes to the same log."""
        arguments, environment = self._command(service)
        environment.update({key.encode(): value.encode() for key, value in settings.items()})
        self.terminate(service)
        return self._spawn(service, arguments, environment)

    def start_another(self, service: str, **settings: str) -> subprocess.Popen:
        """A second instance beside the running one: any admin port, no name of its own unless
        `settings` give one; its group of consumers takes none without, as the running one has one.
        Its output goes to SERVICE-more.log."""
        arguments, environment = self._command(service)
        environment[b"DISPATCH_ADMIN_LISTEN"] = b"127.0.0.1:0"
        environment.pop(b"DISPATCH_INSTANCE_ID", None)
        environment.update({key.encode(): value.encode() for key, value in settings.items()})
        return self._spawn(f"{service}-more", arguments, environment)

    def _command(self, service: str) -> tuple[list[bytes], dict[bytes, bytes]]:
        """Program with arguments, and environment, of the service as it runs or last ran."""
        if pid := self.pid(service):
            process = Path(f"/proc/{pid}")
            environment = process.joinpath("environ").read_bytes().split(b"\0")
            self._commands[service] = (
                process.joinpath("cmdline").read_bytes().split(b"\0")[:-1],
                dict(entry.split(b"=", 1) for entry in environment if entry),
            )
        assert service in self._commands, f"{service} does not run"
        arguments, environment = self._commands[service]
        return arguments, dict(environment)

    def _spawn(self, log: str, arguments: list[bytes], environment: dict) -> subprocess.Popen:
        with open(self.home / "logs" / f"{log}.log", "ab") as out:
            return subprocess.Popen(
                arguments,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def log(self, part: str) -> str:
        return (self.home / "logs" / f"{part}.log").read_text(errors="replace")

    def warnings(self, part: str, since: str, most: int = 12) -> list[str]:
        """The last lines of its log, as of the moment `since` (2026-11-22T23:42:40), that tell of trouble."""
        lines = [line for line in self.log(part).splitlines() if line >= since]
        told = [line for line in lines if re.match(r"\S+Z (WARN|ERROR|FATAL) ", line)]
        return [line[:300] for line in told[-most:]]

    # ---- admin ports

    def admin_url(self, service: str) -> str:
        return self.env[f"DISPATCH_{service.replace('-', '_').upper()}_ADMIN_URL"]

    def admin(self, service: str, path: str) -> requests.Response:
        return requests.get(self.admin_url(service) + path, timeout=10)

    def is_ready(self, service: str) -> bool:
        try:
            return self.admin(service, "/readyz").status_code == 200
        except requests.RequestException:
            return False

    def await_ready(self, bound: float = 60) -> None:
        for service in SERVICES:
            eventually(lambda service=service: self.is_ready(service), f"{service} is ready", bound)

    def metrics(self, service: str) -> dict[str, float]:
        """Sample name with labels -> value."""
        answer = self.admin(service, "/metrics")
        assert answer.status_code == 200
        return dict(parse_metrics(answer.text))

    def metric(self, service: str, name: str, /, **labels: str) -> float:
        """The sum over all samples of that name that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            value
            for sample, value in self.metrics(service).items()
            if sample.partition("{")[0] == name and all(label in sample for label in wanted)
        )


def parse_metrics(text: str):
    for line in text.splitlines():
        if line and not line.startswith("#"):
            sample = re.fullmatch(r"([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)(?: \d+)?", line)
            assert sample, f"not a line of the Prometheus text format: {line!r}"
            yield sample.group(1), float(sample.group(2))


def is_running(pid: int) -> bool:
    """Alive and not a zombie that its parent has not waited for."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"
