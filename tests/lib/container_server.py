"""A function in a container, as VMware's images are: GET /healthz and POST / {context, payload} at $PORT.
What it does, the payload says: {"do": "echo", ...}."""

import http.server
import json
import os
import sys
import time
import urllib.request


def network(_):
    try:
        with open("/proc/net/dev") as file:
            return sorted(line.split(":")[0].strip() for line in file if ":" in line)
    except OSError as error:
        return str(error)


def write(request):
    try:
        with open(request["path"], "w") as file:
            for _ in range(request.get("pages", 1)):
                file.write("x" * 4096)
        return "written"
    except OSError as error:
        return error.strerror


def bomb(_):
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
        kept[-1][::4096] = b"x" * 256


def fork(request):
    children = 0
    try:
        while children < request["most"]:
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
            children += 1
    except OSError as error:
        return f"{error.strerror} after {children}"
    return str(children)


def words(request):
    print(request["out"], flush=True)
    print(request["err"], file=sys.stderr, flush=True)
    return "said"


def flood(_):
    for _ in range(200_000):
        sys.stdout.write("x" * 99 + "\n")
    sys.stdout.flush()
    return "said"


def fetch(request):
    with urllib.request.urlopen(request["url"], timeout=5) as answer:
        return answer.read().decode()


DOING = {
    "network": network,
    "write": write,
    "bomb": bomb,
    "fork": fork,
    "words": words,
    "flood": flood,
    "fetch": fetch,
    "sleep": lambda request: time.sleep(request["seconds"]),
    "exit": lambda request: os._exit(request["code"]),
    "environment": lambda _: dict(os.environ),
    "status": lambda _: open("/proc/self/status").read(),
    "source": lambda _: sorted(os.listdir(os.environ.get("FAKE_FUNCTION", "/function"))),
    "name": lambda _: os.uname().nodename,
    "last": lambda _: "last words",
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body: bytes, status: int = 200):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(b"{}", 200 if self.path == "/healthz" else 404)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        context, payload = request["context"], request["payload"]
        does = payload.get("do", "echo")
        if does == "broken":
            return self.answer(b"<html>", payload.get("status", 200))
        answer = {"context": {}, "payload": None}
        if does == "echo":
            answer["payload"] = {"payload": payload, "context": context}
        elif does == "error":
            answer["context"]["error"] = {"type": payload["type"], "message": "as asked", "stacktrace": ["here"]}
        else:
            answer["payload"] = DOING[does](payload)
        if "logs" in payload:
            answer["context"]["logs"] = payload["logs"]
        self.answer(json.dumps(answer).encode())
        if does == "last":
            os._exit(0)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if "words" in os.environ.get("HANDLER", ""):
        print("this handler is not known", file=sys.stderr, flush=True)
        sys.exit(3)
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
