"""The bench `functions` of tests/bench/run: what a run costs its caller."""

import base64
import gzip
import json
import time
from processes import children, figures, load

SOURCES = {
    "python3": ("f.py", "def handle(ctx, payload):\n    return payload\n"),
    "nodejs": ("f.js", "module.exports = (context, payload) => payload;\n"),
}
WORKERS = 2
CALLERS = 64  # as many as `publish` has


def archive(file, text):
    header = bytearray(512)
    header[: len(file)] = file.encode()
    header[100:107], header[124:135], header[156:157] = b"0000644", b"%011o" % len(text), b"0"
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return base64.b64encode(gzip.compress(bytes(header) + text.encode())).decode()


class Functions:
    # So that a function is scaled to zero while the bench waits for it.
    SETTINGS = ("function-manager:DISPATCH_FUNCTIONS_IDLE=1s",)

    def __init__(self, bench):
        self.bench, self.stack = bench, bench.stack
        self.body = {"blocking": True, "input": {"name": "Jon"}}

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

    def warm(self, language, case, url, callers, **call):
        def once():
            before = self.stack.cpu()
            row = figures(load("call", url=url, connections=callers, seconds=4, warmup=1, **call))
            after = self.stack.cpu()
            runs = row["accepted"] + row["failed"]
            cpu = {name: round((after[name] - before[name]) / runs * 1000, 4) for name in after}
            return {"rate": row["rate"], "p50_ms": row["p50_ms"], "p99_ms": row["p99_ms"],
                    "failed": row["failed"], "cpu_s_per_1000": cpu,
                    "rate_per_core": round(1000 / sum(cpu.values()))}  # fmt: skip

        self.show(language, case, self.bench.repeat(once))

    def run(self):
        for language in SOURCES:
            image = self.image(language)
            called = self.make(language, image, concurrency=WORKERS)
            url = f"{self.stack.api}/v1/runs?functionName={called}"
            api = self.bench.name("api-")
            self.stack.call("POST", "/v1/api", {"name": api, "function": called, "enabled": True,
                                                "methods": ["POST"], "uris": [f"/{api}"],
                                                "authentication": "public"})  # fmt: skip
            for callers in (1, CALLERS):
                self.warm(language, f"REST c={callers}", url, callers, **self.blocking())
            self.update(language, called, image, url)
            self.endpoint(language, api)
            self.first(language, called)

    def endpoint(self, language, api):
        made = self.stack.call("GET", f"/v1/api/{api}")
        url = self.stack.env["DISPATCH_ENDPOINTS_URL"] + made["uris"][0]
        for callers in (1, CALLERS):
            self.warm(language, f"endpoint c={callers}", url, callers, body='{"name": "Jon"}', expect="Jon")

    def update(self, language, called, image, url):
        """A new version takes over while runs go on: none may fail."""
        running = load("call", url=url, seconds=4, warmup=0, **self.blocking())
        file, text = SOURCES[language]
        for number in range(3):
            changed = text + ("# " if language == "python3" else "// ") + str(number) + "\n"
            body = {"name": called, "image": image, "source": archive(file, changed),
                    "limits": {"concurrency": WORKERS}}  # fmt: skip
            self.stack.call("PUT", f"/v1/function/{called}", body)
            self.stack.wait("the update serves", lambda: "next" not in self.stack.call("GET", f"/v1/function/{called}"))
        row = figures(running)
        self.show(language, "update under load", {
            "rate": row["rate"], "p99_ms": row["p99_ms"], "received": row["accepted"],
            "failed": row["failed"]})  # fmt: skip

    def blocking(self):
        """A blocking run over REST, for `dispatch-load call`."""
        return {"key": self.stack.key, "body": json.dumps(self.body), "expect": '"READY"'}

    def first(self, language, called):
        """What a user means by a cold start: the first run of a function that was scaled to zero. And
        the first run in a service that has just started: its files are there, no worker is."""
        cold = []
        for _ in range(9):
            self.stack.wait("the function is scaled to zero", self.nothing_runs, step=0.1)
            cold.append(self.one(called))
        self.show(language, "cold start (scaled to zero)", between(cold))
        ready, first = [], []
        for _ in range(5):
            begun = time.perf_counter()
            self.stack.restart("function-manager")
            ready.append((time.perf_counter() - begun) * 1000)
            first.append(self.one(called))
        self.show(language, "restart of the service", between(ready))
        self.show(language, "first run after a restart", between(first))

    def one(self, called):
        """Milliseconds from the request to the answer."""
        begun = time.perf_counter()
        answer = self.stack.call("POST", f"/v1/runs?functionName={called}", self.body)
        assert answer["status"] == "READY", answer
        return (time.perf_counter() - begun) * 1000

    def nothing_runs(self):
        return not children(self.stack.pids()["function-manager"])


def between(times):
    times = sorted(times)
    return {"p50_ms": round(times[len(times) // 2], 1), "max_ms": round(times[-1], 1)}
