#!/usr/bin/env python3
"""A subscriber to look at: prints one line for each event it gets and answers 204.

usage: receiver.py [--port N] [--port-file FILE] [--log FILE]

--port 0 (the default) takes a free port; the port is written to --port-file. Takes CloudEvents in
binary, structured and batch mode over HTTP POST. Listens on 127.0.0.1 only.
"""

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTEXT = ("id", "type", "source", "subject", "time")


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for event in self.events(body):
            print(" ".join(f"{key}={value}" for key, value in event.items()), flush=True)
        self.send_response(204)
        self.end_headers()

    def events(self, body):
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("application/cloudevents"):
            parsed = json.loads(body)
            for event in parsed if isinstance(parsed, list) else [parsed]:
                found = {key: event[key] for key in CONTEXT if key in event}
                yield found | {"data": json.dumps(event.get("data"))}
            return
        found = {key: self.headers["ce-" + key] for key in CONTEXT if "ce-" + key in self.headers}
        yield found | {"data": body.decode(errors="replace")}

    def log_message(self, *_):
        pass


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--port-file")
    options.add_argument("--log", help="where to print (default: standard output)")
    chosen = options.parse_args()
    if chosen.log:
        sys.stdout = open(chosen.log, "a", encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", chosen.port), Receiver)
    if chosen.port_file:
        with open(chosen.port_file + ".new", "w", encoding="ascii") as file:
            print(server.server_port, file=file)
        os.rename(chosen.port_file + ".new", chosen.port_file)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
