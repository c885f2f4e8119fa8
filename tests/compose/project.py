"""The composed stack in an engine: its images, its containers, and what the kernel says of them."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

from lib.docker import GROUP, Engine
from lib.wait import eventually
from static import COMPOSE, ROOT, SERVICES

TAG = "ci"
BINARIES = f"localhost/dispatch/binaries:{TAG}"
# What the base image for functions has of the Dockerfile's FUNCTION_PACKAGES; Node.js and npm would double it.
FUNCTION_PACKAGES = "python3 python3-pip"
PARTS = (*SERVICES, "kafka", "postgresql")
MORE_PARTS = (*(f"{service}-2" for service in SERVICES), "kafka-2", "kafka-3")  # of compose.ha.yaml
CGROUPS = Path("/sys/fs/cgroup")
DOCKER = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"  # Debian's builds without a plugin


class Project:
    def __init__(self, home: Path, compose: str, base: Path, kafka: Path, ha: bool):
        """compose: the program; base: what make-base made; kafka: the folder of its jars; ha: with compose.ha.yaml."""
        self.home, self.compose_program, self.base, self.kafka = home, compose, base, kafka
        names = ("compose.yaml", *(["compose.ha.yaml"] if ha else []), "compose.ci.yaml")
        self.files = [word for name in names for word in ("-f", COMPOSE / name)]
        self.parts = (*PARTS, *(MORE_PARTS if ha else ()))
        self.engine = Engine(home / "engine", own_network=False)
        self.started = int(time.time())
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_CONFIG": str(home / "config"),
            "DOCKER_HOST": f"unix://{self.engine.socket}", "DOCKER_BUILDKIT": "1",
            "DISPATCH_IMAGES": "localhost/dispatch", "DISPATCH_VERSION": TAG,
            "KAFKA_IMAGE": f"localhost/kafka:{TAG}", "POSTGRES_IMAGE": f"localhost/postgres:{TAG}",
        }  # fmt: skip

    # ---- programs

    def run(self, *command, check: bool = True, bound: float = 240, **options) -> subprocess.CompletedProcess:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=bound,
                              stdin=options.pop("stdin", subprocess.DEVNULL), **options)  # fmt: skip
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {(done.stdout + done.stderr)[-3000:]}")
        return done

    def docker(self, *arguments, **options) -> subprocess.CompletedProcess:
        return self.run(DOCKER, *arguments, **options)

    def compose(self, *arguments, **options) -> subprocess.CompletedProcess:
        return self.run(self.compose_program, *self.files, *arguments, **options)

    # ---- images

    def build_images(self, build: Path) -> None:
        """Of what is built in `build`, on the base images."""
        for name in ("service", "more"):
            self.docker("import", self.base / f"{name}.tar", f"localhost/base/{name}:{TAG}")
        out = self.home / "binaries"
        self.run(ROOT / "deploy/docker/collect", build, out / "out")
        with subprocess.Popen(["tar", "-C", out, "-c", "out"], stdout=subprocess.PIPE) as tar:
            self.docker("import", "-", BINARIES, stdin=tar.stdout)
        shutil.rmtree(out)
        for target in (*SERVICES, "cli"):
            base = "more" if target == "function-manager" else "service"
            arguments = [f"BASE_IMAGE=localhost/base/{base}:{TAG}", f"BINARIES={BINARIES}"]
            if target == "function-manager":
                arguments.append(f"FUNCTION_PACKAGES={FUNCTION_PACKAGES}")
            self.docker("build", "-q", "-f", ROOT / "deploy/docker/Dockerfile", "--target", target,
                        *[word for each in arguments for word in ("--build-arg", each)],
                        "-t", f"localhost/dispatch/{target}:{TAG}", ROOT)  # fmt: skip
        context = self.home / "kafka"
        shutil.copytree(ROOT / "tests/compose/kafka", context)
        shutil.copytree(self.kafka / "libs", context / "libs")
        more = f"BASE_IMAGE=localhost/base/more:{TAG}"
        self.docker("build", "-q", "--build-arg", more, "-t", f"localhost/kafka:{TAG}", context)
        shutil.rmtree(context)
        self.docker("build", "-q", "--build-arg", more, "-t", f"localhost/postgres:{TAG}", ROOT / "tests/compose/postgres")

    # ---- containers

    def containers(self) -> dict[str, dict]:
        """service -> what the engine says of its container, of all that run."""
        listed = self.engine.call("GET", "/containers/json")
        return {
            each["Labels"]["com.docker.compose.service"]: self.engine.call("GET", f"/containers/{each['Id']}/json")
            for each in listed
        }

    def container(self, part: str) -> dict:
        return self.engine.call("GET", f"/containers/dispatch-{part}-1/json")

    def is_healthy(self, part: str) -> bool:
        state = self.container(part)["State"]
        return state["Running"] and state["Health"]["Status"] == "healthy"

    def kill(self, part: str) -> float:
        """As a crash does: the engine is not told, and starts it again. Returns after how many seconds it is
        healthy."""
        before = self.container(part)["State"]
        begun = time.monotonic()
        os.kill(before["Pid"], 9)

        def again():
            state = self.container(part)["State"]
            return state["StartedAt"] != before["StartedAt"] and self.is_healthy(part)

        eventually(again, f"{part} is healthy again", 120, 0.1)
        return time.monotonic() - begun

    def address(self, part: str) -> str:
        networks = self.container(part)["NetworkSettings"]["Networks"]
        return networks["dispatch_inside"]["IPAddress"]

    def gateway(self) -> str:
        """This machine, for containers that may go out."""
        (described,) = self.engine.call("GET", "/networks/dispatch_outside")["IPAM"]["Config"]
        return described["Gateway"]

    def name_parts(self) -> None:
        """Kafka tells clients a name: in this process's mount namespace it is known."""
        hosts = self.home / "hosts"
        lines = ["127.0.0.1 localhost", *(f"{self.address(part)} {part}" for part in self.parts)]
        fresh = not hosts.exists()
        hosts.write_text("\n".join(lines) + "\n")
        if fresh:
            subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)

    def processes(self, identifier: str) -> list[dict]:
        """/proc/PID/status of all in a container."""
        found = []
        for pid in (CGROUPS / "memory" / GROUP / identifier / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                found.append(dict(line.split(":", 1) for line in lines if ":" in line))
        return found

    def ooms(self) -> list[str]:
        """Of all containers since the beginning."""
        query = f"since={self.started}&until={int(time.time()) + 1}&filters=%7B%22event%22%3A%5B%22oom%22%5D%7D"
        told = self.engine.call("GET", f"/events?{query}")
        lines = told.splitlines() if isinstance(told, bytes) else ([json.dumps(told)] if told else [])
        return [str(line)[:200] for line in lines if line]

    # ---- what is left

    def left(self) -> list[str]:
        """Of containers, volumes, networks, processes and mounts, when there should be none."""
        call = self.engine.call
        found = [f"container {each['Names']}" for each in call("GET", "/containers/json?all=1")]
        found += [f"volume {each['Name']}" for each in call("GET", "/volumes")["Volumes"] or []]
        found += [f"network {each['Name']}" for each in call("GET", "/networks")
                  if each["Name"] not in ("bridge", "host", "none")]  # fmt: skip
        root = self.engine.home
        for line in Path("/proc/mounts").read_text().splitlines():
            place = line.split()[1]
            if place.startswith(f"{root}/data/overlay2/") or place.startswith(f"{root}/data/containers/"):
                found.append(f"mount {place}")
        for procs in (CGROUPS / "memory" / GROUP).rglob("cgroup.procs"):
            found += [f"process {pid}" for pid in procs.read_text().split()]
        return found

    def stop(self) -> list[str]:
        """The engine too. Returns what is left of it."""
        # Else nothing would take away what a failed run leaves.
        for each in self.engine.call("GET", "/containers/json?all=1"):
            with contextlib.suppress(RuntimeError):
                self.engine.call("DELETE", f"/containers/{each['Id']}?force=1&v=1")
        home = str(self.engine.home)
        self.engine.stop()
        found = [] if not os.path.exists(home) else [f"{home} is left"]
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if f"{home}/".encode() in process.read_bytes():
                    found.append(f"process {process.parent.name}: {process.read_bytes()[:120]}")
        found += [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if f" {home}" in line]
        found += [f"control group {group}" for group in CGROUPS.glob(f"*/{GROUP}")]
        return found


class Memory(threading.Thread):
    """Looks at what containers use, as `docker stats` counts it, until it is stopped."""

    def __init__(self, project: Project):
        super().__init__(name="memory", daemon=True)
        self.project, self.peaks, self.limits = project, {}, {}
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(1.0):
            for part in self.project.parts:
                with contextlib.suppress(RuntimeError, OSError, KeyError):
                    self.look(part)

    def look(self, part: str) -> None:
        path = f"/containers/dispatch-{part}-1/stats?stream=false&one-shot=true"
        told = self.project.engine.call("GET", path)["memory_stats"]
        used = told["usage"] - told["stats"].get("total_inactive_file", told["stats"].get("inactive_file", 0))
        self.peaks[part] = max(self.peaks.get(part, 0), used)
        self.limits[part] = told["limit"]

    def end(self) -> None:
        self._ended.set()
        self.join(10)
