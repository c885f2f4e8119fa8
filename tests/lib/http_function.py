"""A function of runtime `http` that a test scripts: `POST {context, payload}` in, the contract's
answer out (DESIGN section 7)."""

import json
from collections.abc import Callable

from .receiver import Answer, Endpoint, Receiver


def answer_of(payload=None, error: dict | None = None, stdout: list | None = None) -> Answer:
    context = {"error": error, "logs": {"stdout": stdout, "stderr": None}}
    body = json.dumps({"context": context, "payload": payload}).encode()
    return Answer(200, {"Content-Type": "application/json"}, body)


def make_function(org, receiver: Receiver, called: str, handle: Callable, **fields) -> Endpoint:
    """handle(context, payload) -> what is returned, or an Answer. READY when this returns."""

    def respond(request):
        asked = json.loads(request.body)
        out = handle(asked["context"], asked["payload"])
        return out if isinstance(out, Answer) else answer_of(out)

    endpoint = receiver.endpoint(respond)
    org.post("/v1/function", {"name": called, "url": endpoint.url, **fields}, expect=201)
    return endpoint
