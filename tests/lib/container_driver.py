"""An event driver in a container, as VMware's images are: --key=value, secrets in the environment, events POSTed to
--dispatch-api-endpoint. It says what it sees; its other arguments say what it does: --type, --exit."""

import json
import os
import sys
import time
import urllib.error
import urllib.request


def post(url: str, body: dict, method: str = "POST") -> int:
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method,
                                     headers={"Content-Type": "application/json"})  # fmt: skip
    try:
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def await_endpoint(url: str):
    """As VMware's client: any answer will do, for 30 s."""
    for _ in range(300):
        try:
            return urllib.request.urlopen(url, timeout=5)
        except OSError:
            time.sleep(0.1)
    sys.exit("nobody answers at " + url)


def write(path: str) -> str:
    try:
        with open(path, "w") as file:
            file.write("x")
        return "written"
    except OSError as error:
        return error.strerror


def main():
    given = dict(word[2:].partition("=")[::2] for word in sys.argv[1:])
    endpoint = given.pop("dispatch-api-endpoint")
    print("arguments", sorted(word for word in sys.argv[1:] if "endpoint" not in word), flush=True)
    print("secret", len(os.environ.get("API_TOKEN", "")), file=sys.stderr, flush=True)
    ingest = f"http://{endpoint}/v1/event/ingest?authToken={os.environ['AUTH_TOKEN']}"
    await_endpoint(ingest)
    kind = given.get("type", "image.event")
    event = {"eventType": kind, "cloudEventsVersion": "0.1", "source": "container",
             "eventID": str(time.time_ns()), "data": {"in": "a container"}}  # fmt: skip
    now = {"specversion": "1.0", "type": kind, "source": "container", "data": 1}
    sidecar = f"http://localhost:{os.environ['DISPATCH_LISTENER_HTTP_PORT']}"
    print("answers", post(ingest, event), post(os.environ["DISPATCH_ENDPOINT"], {**now, "id": f"a{time.time_ns()}"}),
          post(sidecar, {**now, "id": f"b{time.time_ns()}"}), post(ingest, {}), post(ingest, {}, "PUT"),
          flush=True)  # fmt: skip
    with open("/proc/self/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    print("confined", write("/x"), write("/tmp/x"), status["NoNewPrivs"], status["CapEff"], flush=True)
    if "exit" in given:
        print("that was all", end="", file=sys.stderr, flush=True)
        os._exit(int(given["exit"]))
    print("goes on", flush=True)
    time.sleep(1_000_000)


if __name__ == "__main__":
    main()
