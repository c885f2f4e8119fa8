"""A container engine for tests: of Docker's API what our services may ask, over a unix socket. Its
containers are processes in network namespaces of their own. Strict: what it does not know, or what would
loosen a container, is refused and kept in `faults`."""

import base64
import contextlib
import http.server
import json
import os
import signal
import socketserver
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid
from pathlib import Path

API = "1.41"
SERVER = Path(__file__).with_name("container_server.py")
DRIVER = Path(__file__).with_name("container_driver.py")
DIGEST = "localhost/dispatch-test@sha256:" + "ab" * 32
IMAGE = "localhost/dispatch-test:server"
DRIVER_DIGEST = "localhost/dispatch-test@sha256:" + "ef" * 32
DRIVER_IMAGE = "localhost/dispatch-test:driver"
# Of a registry that asks who pulls: any port of loopback is one that a real engine asks without TLS.
REGISTRY = "127.0.0.1:5000"
PRIVATE_IMAGE = f"{REGISTRY}/private/driver:1"
CREDENTIALS = {"username": "jon", "password": "only-for-the-registry", "serveraddress": REGISTRY}
OWN_NETWORK = os.stat("/proc/self/ns/net").st_ino
CONFINED = {
    "ReadonlyRootfs": True,
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "LogConfig": {"Type": "none"},
    "RestartPolicy": {"Name": "no"},
}
LIMITED = {"Memory", "MemorySwap", "NanoCpus", "PidsLimit", "NetworkMode", "Tmpfs", "Ulimits"}
FIELDS = {"Image", "Env", "Labels", "AttachStdout", "AttachStderr", "HostConfig"}


def write_credentials(file: Path, known: bool):
    """As `docker login` keeps them; those of CREDENTIALS, or none."""
    pair = f"{CREDENTIALS['username']}:{CREDENTIALS['password']}"
    entry = {REGISTRY: {"auth": base64.b64encode(pair.encode()).decode()}}
    file.touch(0o600)
    file.write_text(json.dumps({"auths": entry if known else {}}))


class Refused(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Container:
    def __init__(self, spec: dict):
        self.id = uuid.uuid4().hex * 2
        self.spec, self.process, self.out_of_memory = spec, None, False
        self.attached, self.lock, self.ended = [], threading.Lock(), threading.Event()

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self):
        environment = dict(entry.split("=", 1) for entry in self.spec["Env"])
        command = "ip link set lo up && exec \"$0\" \"$@\""
        program = [sys.executable, str(DRIVER if "Cmd" in self.spec else SERVER), *self.spec.get("Cmd", [])]
        for bound in self.spec["HostConfig"].get("Binds", []):
            environment["FAKE_FUNCTION"] = bound.split(":")[0]
        self.process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", command, *program],
            env={**environment, "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        # An engine says that it started what is in its namespaces already.
        while self.running() and os.stat(f"/proc/{self.process.pid}/ns/net").st_ino == OWN_NETWORK:
            time.sleep(0.001)
        pumps = [threading.Thread(target=self.pump, args=each, daemon=True)
                 for each in ((1, self.process.stdout), (2, self.process.stderr))]  # fmt: skip
        for pump in pumps:
            pump.start()
        threading.Thread(target=self.reap, args=(pumps,), daemon=True).start()

    def pump(self, number: int, stream):
        while data := stream.read1(65536):
            frame = struct.pack(">BxxxI", number, len(data)) + data
            with self.lock:
                for each in list(self.attached):
                    try:
                        each.sendall(frame)
                    except OSError:
                        self.attached.remove(each)

    def reap(self, pumps):
        limit = self.spec["HostConfig"]["Memory"]
        while self.process.poll() is None:
            try:
                pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            except (OSError, IndexError):
                pages = 0
            if pages * 4096 > limit:
                self.out_of_memory = True
                self.kill()
            time.sleep(0.02)
        for pump in pumps:
            pump.join(5)
        self.ended.set()

    def kill(self):
        if self.running():
            os.killpg(self.process.pid, signal.SIGKILL)


class FakeEngine:
    def __init__(self, socket: Path):
        self.socket, self.containers, self.faults, self.asked = Path(socket), {}, [], []
        self.images = {}  # reference -> RepoDigests
        self.registry = {IMAGE: [DIGEST], DRIVER_IMAGE: [DRIVER_DIGEST], PRIVATE_IMAGE: [DRIVER_DIGEST]}
        self.is_away = False
        engine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                engine.handle(self)

            do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = handle_one

            def log_message(self, *_):
                pass

            def address_string(self):
                return "unix"

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        self.socket.unlink(missing_ok=True)
        self.server = Server(str(self.socket), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.socket.unlink(missing_ok=True)
        for container in list(self.containers.values()):
            container.kill()

    @contextlib.contextmanager
    def away(self):
        """Not there: neither on its socket nor on connections that are kept."""
        aside = self.socket.with_suffix(".aside")
        self.is_away = True
        self.socket.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.socket)
            self.is_away = False

    def running(self) -> list[Container]:
        return [each for each in list(self.containers.values()) if each.running()]

    def handle(self, http_):
        if self.is_away:
            http_.close_connection = True
            return
        body = http_.rfile.read(int(http_.headers.get("Content-Length", 0)))
        self.asked.append(f"{http_.command} {http_.path}")
        try:
            self.answer(http_, body)
        except Refused as refused:
            if refused.status != 404:
                self.faults.append(f"{http_.command} {http_.path}: {refused}")
            self.send(http_, refused.status, {"message": str(refused)})
        except (BrokenPipeError, ConnectionResetError):  # who asked is gone
            http_.close_connection = True
        except Exception as error:
            self.faults.append(f"{http_.command} {http_.path}: {error!r}")
            self.send(http_, 500, {"message": repr(error)})

    def send(self, http_, status: int, value=None):
        text = b"" if value is None else json.dumps(value).encode()
        http_.send_response(status)
        http_.send_header("Content-Type", "application/json")
        http_.send_header("Content-Length", str(len(text)))
        http_.end_headers()
        http_.wfile.write(text)

    def answer(self, http_, body: bytes):
        url = urllib.parse.urlsplit(http_.path)
        query = dict(urllib.parse.parse_qsl(url.query, strict_parsing=bool(url.query)))
        if (http_.command, http_.path) == ("GET", "/version"):
            return self.send(http_, 200, {"Version": "0.0-fake", "ApiVersion": API})
        prefix = f"/v{API}/"
        if not url.path.startswith(prefix):
            raise Refused(400, "asked without the API's version")
        words = url.path[len(prefix) :].split("/")
        kind, last = words[0], words[-1]
        asked = (http_.command, kind, last if len(words) > 1 else "")
        if asked == ("GET", "containers", "json") and len(words) == 2:
            return self.list(http_, query)
        if asked == ("POST", "containers", "create") and not query:
            return self.create(http_, json.loads(body))
        if kind == "images":
            return self.image(http_, asked, "/".join(words[1:-1]), query)
        container = self.containers.get(words[1]) if kind == "containers" and len(words) > 1 else None
        if container is None:
            raise Refused(404, f"No such container: {words[1:2]}")
        if asked == ("DELETE", "containers", container.id) and query == {"force": "true", "v": "true"}:
            container.kill()
            del self.containers[container.id]
            return self.send(http_, 204)
        if len(words) != 3:
            raise Refused(400, "unknown request")
        if asked == ("GET", "containers", "json"):
            return self.send(http_, 200, {"Id": container.id, "State": {
                "Running": container.running(), "OOMKilled": container.out_of_memory,
                "Pid": container.process.pid if container.running() else 0,
                "ExitCode": container.process.poll() or 0 if container.process else 0}})  # fmt: skip
        if asked == ("POST", "containers", "start") and not query and not body:
            container.start()
            return self.send(http_, 204)
        if asked == ("POST", "containers", "wait") and not query:
            container.ended.wait()
            return self.send(http_, 200, {"StatusCode": container.process.returncode})
        if asked == ("POST", "containers", "attach") and query == {"stream": "1", "stdout": "1", "stderr": "1"}:
            return self.attach(http_, container)
        raise Refused(400, "unknown request")

    def list(self, http_, query):
        if set(query) != {"all", "filters"} or query["all"] != "true":
            raise Refused(400, "a list without its filter")
        (label,) = json.loads(query["filters"])["label"]
        key, named, value = label.partition("=")
        if not key or (named and not value):
            raise Refused(400, "a filter for nothing")
        self.send(http_, 200, [{"Id": each.id, "Labels": each.spec["Labels"]} for each in list(self.containers.values())
                               if key in each.spec["Labels"] and (not named or each.spec["Labels"][key] == value)])  # fmt: skip

    def create(self, http_, spec):
        host = spec.get("HostConfig", {})
        driver = spec.get("Image") in (DRIVER_IMAGE, DRIVER_DIGEST, PRIVATE_IMAGE)
        if set(spec) != FIELDS | ({"Cmd"} if driver else set()):
            raise Refused(400, f"fields {sorted(spec)}")
        if set(host) - set(CONFINED) != LIMITED | (set() if driver else {"Binds"}):
            raise Refused(400, f"fields of HostConfig {sorted(host)}")
        for key, value in CONFINED.items():
            if host[key] != value:
                raise Refused(400, f"{key} is {host[key]!r}")
        if host["NetworkMode"] not in ("none", "bridge") or host["Memory"] != host["MemorySwap"]:
            raise Refused(400, "network or swap")
        if min(host["Memory"], host["NanoCpus"], host["PidsLimit"]) <= 0:
            raise Refused(400, "no limit")
        for bound in host.get("Binds", []):
            source, target, mode = bound.split(":")
            if target != "/function" or mode != "ro" or not os.path.isdir(source):
                raise Refused(400, f"mounts {bound}")
        if not any(spec["Image"] == name or spec["Image"] in digests for name, digests in list(self.images.items())):
            raise Refused(404, f"No such image: {spec['Image']}")
        container = Container(spec)
        self.containers[container.id] = container
        self.send(http_, 201, {"Id": container.id, "Warnings": []})

    def image(self, http_, asked, name, query):
        if asked == ("GET", "images", "json") and not query:
            for known, digests in list(self.images.items()):
                if name == known or name in digests:
                    return self.send(http_, 200, {"Id": "sha256:" + "cd" * 32, "RepoDigests": digests})
            raise Refused(404, f"No such image: {name}")
        if asked != ("POST", "images", "create") or set(query) != {"fromImage"}:
            raise Refused(400, "unknown request")
        name = query["fromImage"]
        found = next((known for known, digests in self.registry.items() if name == known or name in digests), None)
        lines = [{"status": f"Pulling from {name}"}]
        shown = json.loads(base64.urlsafe_b64decode(http_.headers.get("X-Registry-Auth", "e30=")))
        if found == PRIVATE_IMAGE and shown != CREDENTIALS:
            lines.append({"error": f"pull access denied for {name}, may require 'docker login'"})
        elif found != PRIVATE_IMAGE and shown:
            raise Refused(400, "credentials for another registry")
        elif found is None:
            lines.append({"errorDetail": {"message": "x"}, "error": f"manifest for {name} not found"})
        else:
            self.images[found] = self.registry[found]
        http_.send_response(200)
        http_.send_header("Transfer-Encoding", "chunked")
        http_.end_headers()
        for line in lines:
            text = json.dumps(line).encode() + b"\r\n"
            http_.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        http_.wfile.write(b"0\r\n\r\n")

    def attach(self, http_, container):
        with container.lock:  # whoever reads the head has all that comes
            http_.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
            container.attached.append(http_.connection)
        container.ended.wait()
        http_.close_connection = True
