"""The bench `functions` of tests/bench/run: what a run costs its caller."""

import base64
import gzip
import json
import multiprocessing
import socket
import time
from urllib.parse import urlsplit

from processes import children

SOURCES = {
    "python3": ("f.py", "def handle(ctx, payload):\n    return payload\n"),
    "nodejs": ("f.js", "module.exports = (context, payload) => payload;\n"),
}
WORKERS = 2
CLIENTS = 2  # processes: one in Python says some thousand requests a second


def archive(file, text):
    header = bytearray(512)
    header[: len(file)] = file.encode()
    header[100:107], header[124:135], header[156:157] = b"0000644", b"%011o" % len(text), b"0"
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return base64.b64encode(gzip.compress(bytes(header) + text.encode())).decode()


class Connection:
    """One connection that asks the same again and again; no more of HTTP than that takes."""

    def __init__(self, url, headers, body):
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        path = parts.path + ("?" + parts.query if parts.query else "")
        fields = {"Host": parts.netloc, "Content-Type": "application/json",
                  "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.request = f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    def ask(self):
        """The status and the body."""
        self.socket.sendall(self.request)
        have = b""
        while (end := have.find(b"\r\n\r\n")) < 0:
            have += self._more()
        head = have[:end].lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        length = int(head[at:].split(b"\r\n", 1)[0])
        while len(have) < end + 4 + length:
            have += self._more()
        return int(head[9:12]), have[end + 4 :]

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed by the service")
        return data


def client(url, headers, body, good, seconds, results):
    """One process: times of the requests that succeeded, and how many did not."""
    connection, times, failed = Connection(url, headers, body), [], 0
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        status, text = connection.ask()
        if status == 200 and good in text:
            times.append(time.perf_counter() - begun)
        else:
            failed += 1
    results.put((times, failed))


def measure(url, headers, body, good, seconds, parallel):
    results = multiprocessing.Queue()
    clients = [multiprocessing.Process(target=client, args=(url, headers, body, good, seconds, results))
               for _ in range(parallel)]  # fmt: skip
    for each in clients:
        each.start()
    answers = [results.get(timeout=seconds + 60) for _ in clients]
    for each in clients:
        each.join()
    times = sorted(time for each, _ in answers for time in each)
    return {"rate": round(len(times) / seconds, 1), "failed": sum(failed for _, failed in answers),
            "p50_ms": round(times[len(times) // 2] * 1000, 3),
            "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 3), "runs": len(times)}  # fmt: skip


class Functions:
    # So that a function is scaled to zero while the bench waits for it.
    SETTINGS = ("function-manager:DISPATCH_FUNCTIONS_IDLE=1s",)

    def __init__(self, bench):
        self.bench, self.stack = bench, bench.stack
        self.body = json.dumps({"blocking": True, "input": {"name": "Jon"}}).encode()

    def ready(self, path):
        self.stack.wait(f"{path} is READY", lambda: self.stack.call("GET", path)["status"] == "READY")

    def make(self, language, image, **limits):
        called = self.bench.name("fn-")
        file, text = SOURCES[language]
        body = {"name": called, "image": image, "source": archive(file, text), "limits": limits}
        self.stack.call("POST", "/v1/function", body)
        self.ready(f"/v1/function/{called}")
        return called

    def image(self, language):
        base, called = self.bench.name("base-"), self.bench.name("image-")
        self.stack.call("POST", "/v1/baseimage", {"name": base, "dockerUrl": f"x/{language}-base:1"})
        self.ready(f"/v1/baseimage/{base}")
        self.stack.call("POST", "/v1/image", {"name": called, "baseImageName": base})
        self.ready(f"/v1/image/{called}")
        return called

    def show(self, language, case, row):
        self.bench.show({"bench": "functions", "case": f"{language} {case}", **row})

    def warm(self, language, case, url, headers, body, good, parallel):
        measure(url, headers, body, good, 1, parallel)

        def once():
            before = self.stack.cpu()
            row = measure(url, headers, body, good, 4, parallel)
            after = self.stack.cpu()
            row["cpu_s_per_1000"] = {name: round((after[name] - before[name]) / row["runs"] * 1000, 4)
                                     for name in after if name in before}  # fmt: skip
            core = sum(row["cpu_s_per_1000"].values())
            row["rate_per_core"] = round(1000 / core) if core else 0
            return row

        self.show(language, case, self.bench.repeat(once))

    def run(self):
        self.key = {"Authorization": "Bearer " + self.stack.key}
        for language in SOURCES:
            image = self.image(language)
            called = self.make(language, image, concurrency=WORKERS)
            url = f"{self.stack.api}/v1/runs?functionName={called}"
            api = self.bench.name("api-")
            self.stack.call("POST", "/v1/api", {"name": api, "function": called, "enabled": True,
                                                "methods": ["POST"], "uris": [f"/{api}"],
                                                "authentication": "public"})  # fmt: skip
            self.warm(language, "REST c=1", url, self.key, self.body, b'"READY"', 1)
            self.warm(language, f"REST c={2 * CLIENTS}", url, self.key, self.body, b'"READY"', 2 * CLIENTS)
            self.update(language, called, image, url)
            self.endpoint(language, api)
            self.first(language, called)

    def endpoint(self, language, api):
        made = self.stack.call("GET", f"/v1/api/{api}")
        url = self.stack.env["DISPATCH_ENDPOINTS_URL"] + made["uris"][0]
        self.warm(language, "endpoint c=1", url, {}, b'{"name": "Jon"}', b"Jon", 1)

    def update(self, language, called, image, url):
        """A new version takes over while runs go on: none may fail."""
        results = multiprocessing.Queue()
        load = multiprocessing.Process(
            target=client, args=(url, self.key, self.body, b'"READY"', 4, results))  # fmt: skip
        load.start()
        file, text = SOURCES[language]
        for number in range(3):
            changed = text + ("# " if language == "python3" else "// ") + str(number) + "\n"
            body = {"name": called, "image": image, "source": archive(file, changed),
                    "limits": {"concurrency": WORKERS}}  # fmt: skip
            self.stack.call("PUT", f"/v1/function/{called}", body)
            self.stack.wait("the update serves", lambda: "next" not in self.stack.call("GET", f"/v1/function/{called}"))
        times, failed = results.get(timeout=60)
        load.join()
        times.sort()
        self.show(language, "update under load", {
            "rate": len(times) / 4, "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 3),
            "received": len(times), "failed": failed})  # fmt: skip

    def first(self, language, called):
        """What a user means by a cold start: the first run of a function that was scaled to zero. And
        the first run in a service that has just started: its files are there, no worker is."""
        connection = Connection(f"{self.stack.api}/v1/runs?functionName={called}", self.key, self.body)
        cold = []
        for _ in range(9):
            self.stack.wait("the function is scaled to zero", self.nothing_runs, step=0.1)
            cold.append(self.one(connection))
        self.show(language, "cold start (scaled to zero)", between(cold))
        ready, first = [], []
        for _ in range(5):
            begun = time.perf_counter()
            self.stack.restart("function-manager")
            ready.append((time.perf_counter() - begun) * 1000)
            first.append(self.one(connection))
        self.show(language, "restart of the service", between(ready))
        self.show(language, "first run after a restart", between(first))

    def one(self, connection):
        begun = time.perf_counter()
        status, text = connection.ask()
        assert status == 200 and b'"READY"' in text, text
        return (time.perf_counter() - begun) * 1000

    def nothing_runs(self):
        return not children(self.stack.pids()["function-manager"])


def between(times):
    times = sorted(times)
    return {"p50_ms": round(times[len(times) // 2], 1), "max_ms": round(times[-1], 1)}
