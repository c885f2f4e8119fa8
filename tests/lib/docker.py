"""A real container engine for tests: dockerd in a network namespace of its own, with data, socket and pid of its own."""

import contextlib
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.parse
from pathlib import Path

from lib.fake_engine import CREDENTIALS, DRIVER, DRIVER_IMAGE, IMAGE, PRIVATE_IMAGE, REGISTRY, SERVER

GROUP = f"dispatch-test-{os.getpid()}"
PROGRAMS = ("dockerd", "containerd", "runc", "unshare", "nsenter", "ip")


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=120)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(self.path)


class Shown:
    def __init__(self, listed: dict):
        self.id, self.spec = listed["Id"], {"Labels": listed["Labels"], "Image": listed["Image"]}


class Engine:
    """dockerd with data, socket, pid and control group of its own, in this process's network namespace or, by
    default, in one of its own, where it changes nobody's rules."""

    def __init__(self, home: Path, *more: str, own_network: bool = True):
        """more: further options of dockerd."""
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.socket = self.home / "docker.sock"
        options = [
            f"--host=unix://{self.socket}", f"--data-root={self.home}/data", f"--exec-root={self.home}/exec",
            f"--pidfile={self.home}/pid", "--exec-opt=native.cgroupdriver=cgroupfs",
            "--default-ulimit=nofile=4096:4096", "--oom-score-adjust=0", f"--cgroup-parent=/{GROUP}", *more,
        ]  # fmt: skip
        own = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"] if own_network else []
        self.log = open(self.home / "log", "wb")
        self.daemon = subprocess.Popen(
            [*own, "dockerd", *options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        try:
            self.await_engine()
        except BaseException:
            self.stop()
            raise

    def await_engine(self, bound: float = 60):
        deadline = time.monotonic() + bound
        while True:
            try:
                return self.call("GET", "/version")
            except OSError:
                if self.daemon.poll() is not None or time.monotonic() > deadline:
                    self.log.flush()
                    raise RuntimeError("dockerd does not start: " + (self.home / "log").read_text()[-2000:]) from None
                time.sleep(0.2)

    def call(self, method: str, path: str, body: bytes | None = None):
        connection = Unix(self.socket)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-tar"} if body else {})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]}")
            if not text.strip().startswith((b"{", b"[")) or b"\n{" in text.strip():
                return text
            return json.loads(text)
        finally:
            connection.close()

    def stop(self):
        self.daemon.terminate()
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
        self.log.close()
        subprocess.run(["sh", "-c", 'grep -o " $0/[^ ]*" /proc/mounts | sort -r | xargs -r umount', self.home],
                       check=False)  # fmt: skip
        shutil.rmtree(self.home, ignore_errors=True)
        for group in Path("/sys/fs/cgroup").glob(f"*/{GROUP}"):
            folders = [folder for folder, _, _ in os.walk(group, topdown=False)]
            for folder in folders:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


class DockerEngine(Engine):
    """One whose only images are made of this machine's Python."""

    @staticmethod
    def missing() -> str:
        absent = [program for program in PROGRAMS if shutil.which(program) is None]
        return f"not installed: {', '.join(absent)} (packages docker.io, runc, iproute2)" if absent else ""

    def __init__(self, home: Path):
        self.faults: list = []
        self.registry = None
        super().__init__(home, "--iptables=false")
        try:
            for image, program, does in ((IMAGE, SERVER, "CMD"), (DRIVER_IMAGE, DRIVER, "ENTRYPOINT")):
                name, _, tag = image.partition(":")
                change = urllib.parse.quote(f'{does} ["/usr/bin/python3","/program.py"]')
                self.call("POST", f"/images/create?fromSrc=-&repo={name}&tag={tag}&changes={change}",
                          self.image(program))  # fmt: skip
            self.serve_private()
        except BaseException:
            self.stop()
            raise

    def serve_private(self):
        """The driver's image, at a registry that the engine reaches."""
        layer = self.home / "layer.tar"
        layer.write_bytes(self.image(DRIVER))
        name, _, tag = PRIVATE_IMAGE.removeprefix(REGISTRY + "/").partition(":")
        pair = f"{CREDENTIALS['username']}:{CREDENTIALS['password']}"
        self.registry = subprocess.Popen(
            ["nsenter", f"--net=/proc/{self.daemon.pid}/ns/net", sys.executable, Path(__file__).with_name("registry.py"),
             REGISTRY.rpartition(":")[2], pair, name, tag, layer, "/usr/bin/python3", "/program.py"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip

    def image(self, program: Path) -> bytes:
        """Python with its library, and the program."""
        python = Path(os.path.realpath("/usr/bin/python3"))
        library = Path(f"/usr/lib/{python.name}")
        linked = subprocess.run(["ldd", python], check=True, capture_output=True, text=True).stdout
        files = {word for word in linked.split() if word.startswith("/")} | {str(python)}
        for module in library.glob("lib-dynload/*.so"):
            more = subprocess.run(["ldd", module], capture_output=True, text=True).stdout
            files |= {word for word in more.split() if word.startswith("/")}
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:

            def keep(info):
                skipped = {"test", "idlelib", "tkinter", "ensurepip", "__pycache__", "lib2to3"}
                return None if skipped & set(info.name.split("/")) else info

            for file in sorted(files):
                tar.add(os.path.realpath(file), file.lstrip("/"))
            tar.add(library, str(library).lstrip("/"), filter=keep)
            tar.add(python, "usr/bin/python3")
            tar.add(program, "program.py")
        return out.getvalue()

    def stop(self):
        if self.registry is not None:
            self.registry.kill()
            self.registry.wait()
        super().stop()

    def running(self) -> list[Shown]:
        return [Shown(each) for each in self.call("GET", "/containers/json")]


if __name__ == "__main__":
    sys.exit(DockerEngine.missing() or None)
