"""The checks of tests/compose/run, which says what they are about."""

import argparse
import base64
import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "chaos")]

import checker  # noqa: E402
import scenario  # noqa: E402
import static  # noqa: E402
from lib.client import Client  # noqa: E402
from lib.receiver import Receiver  # noqa: E402
from lib.wait import eventually  # noqa: E402
from load import Load  # noqa: E402
from project import Memory, Project  # noqa: E402
from report import Report  # noqa: E402
from static import SERVICES  # noqa: E402

INSIDE = "DISPATCH_COMPOSE_NAMESPACE"
SKIPPED = 77
API = "http://127.0.0.1:8080"
KAFKA = "kafka:9092"  # which tells of the others
RECOVERY_BOUND = 60.0
SETTLE_BOUND = 120.0
# In which Kafka's answers may be lost and an event be in Kafka twice: chaos/faults.py.
AFTERMATH = 30.0
HELLO = "def handle(ctx, payload):\n    return {'hello': payload['name']}\n"


def enter_namespaces() -> str:
    """Runs the program again in a network and mounts of its own. Returns why not, where it may not."""
    if INSIDE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return ""
    absent = [name for name in ("dockerd", "containerd", "runc", "iptables", "ip", "unshare") if not shutil.which(name)]
    if os.geteuid() != 0:
        return "only root can start an engine"
    if absent:
        return f"not installed: {', '.join(absent)}; deploy/local/install-deps --compose installs them"
    command = ["unshare", "--net", "--mount", "--propagation", "private"]
    trial = subprocess.run([*command, "iptables", "-S"], capture_output=True, text=True)
    if trial.returncode != 0:
        return f"no network of its own can be made here: {trial.stderr.strip()[-300:]}"
    os.environ[INSIDE] = "yes"
    os.execvp(command[0], [*command, sys.executable, *sys.argv])


class Run:
    def __init__(self, options: argparse.Namespace, project: Project, report: Report):
        self.options, self.project, self.report = options, project, report
        self.kills: list[tuple] = []  # (part, when it was killed)

    def timed(self, what: str, action, *arguments, **options):
        begun = time.monotonic()
        result = action(*arguments, **options)
        self.report.say(f"  {time.monotonic() - begun:6.1f} s {what}")
        return result

    def run(self) -> None:
        project, report = self.project, self.report
        self.timed("images built of what is compiled already", project.build_images, self.options.build)
        self.timed("docker compose up --wait", project.compose, "up", "--wait", "--wait-timeout", "180")
        report.none([part for part in project.parts if not project.is_healthy(part)], "all are healthy",
                    ", ".join(project.parts))  # fmt: skip
        said = project.compose("run", "--rm", "-T", "demo", check=False)
        last = (said.stdout.strip().splitlines() or [said.stderr[-600:]])[-1]
        report.check(last == "PASSED: published, matched and delivered", "the demo's event is delivered", last)
        key = project.compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "cat", "cli",
                              "/run/dispatch/secrets/admin.key").stdout.strip()  # fmt: skip
        said = project.compose("run", "--rm", "-T", "--no-deps", "cli", "get", "topics", check=False)
        report.check("default" in said.stdout, "the command line has the first key", said.stderr[-300:])
        self.admin = Client(API, key)
        self.check_images()
        self.check_containers()
        self.check_functions()
        memory = Memory(project)
        memory.start()
        with Receiver("0.0.0.0") as receiver:
            self.under_load(receiver)
            self.settle()
            self.judge()
            self.check_stop_and_start()
        memory.end()
        self.check_memory(memory)
        self.check_containers()
        kinds = ("container", "mount", "network", "process", "volume")
        unseen = set(kinds) - {each.partition(" ")[0] for each in project.left()}
        project.compose("--profile", "*", "down", "-v")
        left = project.left() or [f"no {kind} was seen while there were some" for kind in sorted(unseen)]
        report.none(left, "down -v leaves nothing", f"no {', no '.join(kinds)}")

    # ---- what runs

    def check_images(self) -> None:
        faults = []
        for target in (*SERVICES, "cli"):
            config = self.project.engine.call("GET", f"/images/localhost/dispatch/{target}:ci/json")["Config"]
            if config["User"] != "10001:10001":
                faults.append(f"{target} runs as {config['User']}")
            if target in SERVICES and config.get("Healthcheck", {}).get("Test") != ["CMD", "healthcheck"]:
                faults.append(f"{target} has no healthcheck")
            labels = [f"org.opencontainers.image.{name}" for name in ("title", "description", "version", "revision")]
            faults += [f"{target} has no {label}" for label in labels if label not in (config["Labels"] or {})]
        self.report.none(faults, "images: user 10001, health, labels")
        found = [service for service in ("identity", "event-manager", "api-gateway")
                 if self.exec(service, "sh", "-c", "command -v curl || command -v wget || command -v python3").returncode == 0]  # fmt: skip
        self.report.none(found, "images: no curl, wget or Python where none is needed")

    def exec(self, part: str, *command):
        return self.project.docker("exec", f"dispatch-{part}-1", *command, check=False)

    def check_containers(self) -> None:
        roots, loose, faults, processes = [], [], [], 0
        for part, container in self.project.containers().items():
            host = container["HostConfig"]
            for status in self.project.processes(container["Id"]):
                processes += 1
                if "0" in status["Uid"].split():
                    roots.append(f"{part}: {status['Name'].strip()}")
                if status["NoNewPrivs"].strip() != "1":
                    loose.append(f"{part}: {status['Name'].strip()} may gain privileges")
            written = self.exec(part, "sh", "-c", "echo >/etc/probe || echo >/usr/probe || echo >/probe")
            if not host["ReadonlyRootfs"] or written.returncode == 0:
                faults.append(f"{part} can write")
            if host["CapDrop"] != ["ALL"] or host["CapAdd"] or host["Privileged"]:
                loose.append(f"{part} has capabilities")
            main = Path(f"/proc/{container['State']['Pid']}/status").read_text()
            if not all(f"Cap{kind}:\t{'0' * 16}" in main for kind in ("Prm", "Eff", "Bnd")):
                loose.append(f"{part} has capabilities")
        self.report.none(roots, "no process is root", f"{processes} processes")
        self.report.none(loose, "no capabilities, and none to be gained")
        self.report.none(faults, "roots are read-only")

    def check_functions(self) -> None:
        log = self.project.docker("logs", "dispatch-function-manager-1")
        lines = [line for line in (log.stdout + log.stderr).splitlines() if " functions run " in line]
        self.report.check(any("sandbox=bubblewrap" in line for line in lines), "functions have a sandbox",
                          lines[-1].partition("functions run ")[2] if lines else "the log does not say how they run")  # fmt: skip
        try:
            answer = self.run_function("hello")
        except (AssertionError, RuntimeError) as fault:
            answer = str(fault)
        self.report.check(answer == {"hello": "Ann"}, "a function in Python runs", str(answer)[:600])
        self.admin.delete("/v1/function/hello", expect=200)
        with contextlib.suppress(AssertionError):
            eventually(lambda: not self.zombies(), "its sandbox is waited for", 20, 0.5)
        self.report.none(self.zombies(), "nothing is left of its sandbox")

    def zombies(self) -> list[str]:
        managers = [part for part in self.project.parts if part.startswith("function-manager")]
        return [status["Name"].strip() for part in managers
                for status in self.project.processes(self.project.container(part)["Id"])
                if status["State"].strip().startswith("Z") and status["Name"].strip() == "bwrap"]  # fmt: skip

    def run_function(self, name: str):
        """What it answers. npm, which other languages than Python want, is not in these images."""
        admin, base = self.admin, "dispatchframework/python3-base:0.0.13"
        admin.post("/v1/baseimage", {"name": name, "dockerUrl": base, "language": "python3"}, expect=201)
        admin.post("/v1/image", {"name": name, "baseImageName": name}, expect=201)
        self.await_ready(f"/v1/image/{name}")
        source = archive({"hello.py": HELLO})
        function = {"name": name, "image": name, "handler": "hello.handle", "source": source}
        admin.post("/v1/function", function, expect=201)
        self.await_ready(f"/v1/function/{name}")
        run = {"blocking": True, "input": {"name": "Ann"}}
        return admin.post(f"/v1/runs?functionName={name}", run, expect=200).json().get("output")

    def await_ready(self, path: str) -> None:
        def settled():
            shown = self.admin.get(path, expect=200).json()
            if shown["status"] == "ERROR":
                raise RuntimeError(f"{path}: {shown['reason']}")
            return shown["status"] == "READY"

        eventually(settled, f"{path} is ready", 60, 0.2)

    # ---- load, kills, and the books

    def under_load(self, receiver: Receiver) -> None:
        host, seed = self.project.gateway(), self.options.seed
        self.subscriptions, self.clients = scenario.set_up(
            self.admin, receiver, seed, lambda url: url.replace("127.0.0.1", host)
        )
        keys = {org: client.key for org, client in self.clients.items()}
        self.load = Load(API, keys, self.options.rate, seed)
        self.load.start()
        try:
            self.await_flow("the load begins")
            for part in self.project.parts:
                self.kills.append((part, time.monotonic()))
                healthy = self.project.kill(part)
                flowing = self.await_flow(f"{part} was killed")
                self.report.check(True, f"{part} killed", f"healthy after {healthy:.1f} s, "
                                  f"new events delivered after {healthy + flowing:.1f} s")  # fmt: skip
        finally:
            self.load.stop()

    def await_flow(self, since: str) -> float:
        """Until an event that is accepted from now on was delivered. Returns after how many seconds."""
        begun, first = time.monotonic(), self.subscriptions[0]
        place = (first.org, first.topic)

        def flows():
            return self.load.accepted_since(place, begun).keys() & set(first.endpoint.event_ids)

        eventually(flows, f"events are accepted and delivered after {since}", RECOVERY_BOUND, 0.1)
        return time.monotonic() - begun

    def settle(self) -> None:
        begun, calm, self.statistics = time.monotonic(), 0, {}
        while calm < 2 and time.monotonic() < begun + SETTLE_BOUND:
            time.sleep(0.5)
            with contextlib.suppress(OSError):
                self.statistics = checker.statistics_of(self.clients)
            left = checker.busy(self.subscriptions, self.statistics)
            calm = 0 if left else calm + 1
        self.report.none([s.label for s in left], "nothing is pending or unread",
                         f"{time.monotonic() - begun:.1f} s after the load")  # fmt: skip

    def judge(self) -> None:
        self.project.name_parts()
        report, truths = self.report, checker.read_all_truth(KAFKA)
        totals = self.load.totals
        report.say(f"  {totals.sent} events sent, {self.load.accepted_count} accepted, "
                   f"{sum(len(truth.types) for truth in truths.values())} in Kafka, {totals.refused} refused, "
                   f"{totals.unknown} of unknown fate; answers {self.load.statuses}")  # fmt: skip
        report.check(self.load.accepted_count > 1000, "events were accepted", str(self.load.accepted_count))
        report.none(checker.check_accepted(self.load, truths), "what was accepted is in Kafka where the answer said")
        broken = [when for part, when in self.kills if part.startswith("kafka")]
        twice = [(event, when) for truth in truths.values() for event, when in truth.repeated]
        report.none([event for event, when in twice if not any(b <= when <= b + AFTERMATH for b in broken)],
                    "nothing is in Kafka twice, but what the broker died before answering", f"{len(twice)} are")  # fmt: skip
        verdicts = [
            checker.examine(s, truths[s.org, s.topic], self.statistics.get(s.label)) for s in self.subscriptions
        ]
        for verdict in verdicts:
            faults = [f"{check}: {text}" for check, text in verdict.faults]
            report.none(faults, f"{verdict.label}: all received, none foreign, the books agree",
                        f"matched {verdict.matched} = delivered {verdict.delivered} + dead letters {verdict.dead_lettered}"
                        f" + pending {verdict.pending}; {verdict.duplicated} repeats")  # fmt: skip
        self.matched = {verdict.label: verdict.matched for verdict in verdicts}

    def check_stop_and_start(self) -> None:
        """In order, within the time given; and the same books afterwards."""
        project, begun = self.project, time.monotonic()
        project.compose("stop")
        took, codes = time.monotonic() - begun, {part: project.container(part)["State"]["ExitCode"] for part in project.parts}
        wrong = {part: code for part, code in codes.items() if code not in ((0, 143) if part.startswith("kafka") else (0,))}
        self.report.check(not wrong, "docker compose stop: each ends by itself", f"{wrong or codes} in {took:.1f} s")
        project.compose("up", "--wait", "--wait-timeout", "180")

        def same():
            told = checker.statistics_of(self.clients)
            return {label: told[label]["matched"] for label in self.matched if label in told} == self.matched

        try:
            eventually(same, "the books are as before", 60, 0.5)
            self.report.check(True, "the books are the same after a stop and a start")
        except AssertionError as fault:
            self.report.check(False, "the books are the same after a stop and a start", str(fault)[:600])

    def check_memory(self, memory: Memory) -> None:
        faults, figures = [], []
        for part, container in self.project.containers().items():
            host, peak = container["HostConfig"], memory.peaks.get(part, 0)
            limit = host["Memory"]
            if not limit or host["MemorySwap"] != limit or memory.limits.get(part) != limit:
                faults.append(f"{part}: limit {limit}, swap {host['MemorySwap']}, enforced {memory.limits.get(part)}")
            if not 0 < peak < limit:
                faults.append(f"{part} used {peak} of {limit}")
            if container["State"]["OOMKilled"]:
                faults.append(f"{part} was killed for its memory")
            figures.append(f"{part} {peak >> 20} of {limit >> 20} MiB")
        self.report.none(faults, "memory is limited and kept to", ", ".join(figures))
        self.report.none(self.project.ooms(), "no container ran out of memory")


def archive(files: dict[str, str]) -> str:
    """A function's source as the API takes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return base64.b64encode(out.getvalue()).decode()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--compose", required=True)
    parser.add_argument("--hadolint", required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--kafka", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--static", action="store_true")
    parser.add_argument("--ha", action="store_true")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    return parser.parse_args()


def interrupted(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def in_engine(options: argparse.Namespace, report: Report) -> int:
    """0, or SKIPPED where no engine starts."""
    given = os.environ.get("DISPATCH_HOME")
    home = Path(tempfile.mkdtemp(prefix="compose.", dir=given if given and Path(given).is_dir() else None))
    project = None
    try:
        project = Project(home, options.compose, options.base, options.kafka, options.ha)
    except RuntimeError as fault:
        shutil.rmtree(home, ignore_errors=True)
        report.say(f"**** SKIPPED: the composed stack: {fault}")
        return SKIPPED
    try:
        Run(options, project, report).run()
    except (RuntimeError, AssertionError, OSError, subprocess.TimeoutExpired) as fault:
        report.check(False, "the run comes to its end", f"{type(fault).__name__}: {fault}")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if report.failed:
            keep_logs(project, report)
        left = project.stop()
        subprocess.run(["umount", "/etc/hosts"], capture_output=True)
        shutil.rmtree(home, ignore_errors=True)
        report.none(left, "the engine leaves nothing", "no process, mount, control group, file")
    return 0


def keep_logs(project: Project, report: Report) -> None:
    kept = Path(os.environ.get("DISPATCH_HOME") or tempfile.mkdtemp(prefix="dispatch-compose-logs.")) / "logs"
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copy(project.engine.home / "log", kept / "dockerd.log")
    for each in project.engine.call("GET", "/containers/json?all=1"):
        name = each["Names"][0].strip("/")
        log = project.docker("logs", "--timestamps", name, check=False)
        (kept / f"{name}.log").write_text(log.stdout + log.stderr)
    report.say(f"  the logs are in {kept}")


def main() -> int:
    options, report = parse_arguments(), Report()
    if INSIDE not in os.environ:
        static.check(report, options.compose, options.hadolint, options.build / "bin")
        # The next life of this program counts on.
        os.environ["DISPATCH_COMPOSE_COUNTS"] = f"{report.passed} {report.failed}"
    else:
        report.passed, report.failed = map(int, os.environ["DISPATCH_COMPOSE_COUNTS"].split())
    status = 0
    if not options.static:
        reason = enter_namespaces()
        if reason:
            report.say(f"**** SKIPPED: the composed stack: {reason}. Only files were checked.")
            status = SKIPPED
        else:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, interrupted)
            status = in_engine(options, report)
    print(f"compose: {report.passed} checks passed, {report.failed} failed")
    return 1 if report.failed else status


sys.exit(main())
