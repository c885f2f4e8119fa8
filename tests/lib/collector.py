"""A stand-in for an OpenTelemetry collector: OTLP over HTTP in JSON, `POST /v1/traces`.

It takes nothing that the specification does not say (opentelemetry-proto, "JSON Protobuf Encoding" and "OTLP/HTTP"),
notes what was wrong in `faults`, and answers as a test scripts.
"""

import json
import re
import threading

from .receiver import Answer, Receiver, Request

OK = Answer(200, {"Content-Type": "application/json"}, b"{}")
HEX_TRACE, HEX_SPAN = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")
DIGITS = re.compile("[0-9]+")
NEEDED = {"traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"}
ALLOWED = NEEDED | {"parentSpanId", "flags", "attributes", "links", "status", "traceState"}
KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
MOST_SPANS = 512


class Fault(Exception):
    pass


def need(holds, what):
    if not holds:
        raise Fault(what)


def attributes_of(listed) -> dict:
    out = {}
    for pair in listed:
        need(set(pair) == {"key", "value"} and len(pair["value"]) == 1, f"no KeyValue: {pair}")
        ((form, value),) = pair["value"].items()
        if form == "intValue":
            need(isinstance(value, str) and re.fullmatch("-?[0-9]+", value), f"an int64 is a string: {pair}")
            value = int(value)
        else:
            need(form == "stringValue" and isinstance(value, str), f"unexpected value: {pair}")
        need(pair["key"] and pair["key"] not in out, f"keys are unique and not empty: {pair}")
        out[pair["key"]] = value
    return out


def check_ids(holder):
    for key, form in (("traceId", HEX_TRACE), ("spanId", HEX_SPAN)):
        need(form.fullmatch(holder[key]) and set(holder[key]) != {"0"}, f"{key} is {holder[key]}")


class Span:
    def __init__(self, raw: dict, resource: dict):
        need(NEEDED <= set(raw) <= ALLOWED, f"fields of a span: {sorted(raw)}")
        check_ids(raw)
        self.trace, self.id, self.parent = raw["traceId"], raw["spanId"], raw.get("parentSpanId")
        need(self.parent is None or HEX_SPAN.fullmatch(self.parent), f"parentSpanId is {self.parent!r}")
        need(type(raw["kind"]) is int and raw["kind"] in KINDS, f"kind is {raw['kind']!r}")
        self.kind, self.name, self.service = KINDS[raw["kind"]], raw["name"], resource["service.name"]
        need(self.name, "a span without a name")
        for key in ("startTimeUnixNano", "endTimeUnixNano"):
            need(isinstance(raw[key], str) and DIGITS.fullmatch(raw[key]), f"{key} is {raw[key]!r}")
        self.start, self.end = int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"])
        need(self.start <= self.end, "it ends before it begins")
        self.attributes = attributes_of(raw.get("attributes", []))
        self.links = raw.get("links", [])
        for link in self.links:
            check_ids(link)
        status = raw.get("status", {})
        need(set(status) <= {"code", "message"} and status.get("code", 0) in (0, 1, 2), f"status is {status}")
        self.failed, self.message = status.get("code", 0) == 2, status.get("message", "")
        need(raw.get("flags", 1) & 1, "it is not sampled")

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace}-{self.id}-01"

    def __repr__(self):
        return f"<{self.service}: {self.kind} {self.name}>"


def spans_of(request: Request) -> list[Span]:
    need(request.method == "POST", f"method {request.method}")
    need(request.headers.get("content-type") == "application/json", f"type {request.headers.get('content-type')}")
    asked = json.loads(request.body)
    need(set(asked) == {"resourceSpans"}, f"fields of the request: {sorted(asked)}")
    out = []
    for group in asked["resourceSpans"]:
        need(set(group) == {"resource", "scopeSpans"}, f"fields of ResourceSpans: {sorted(group)}")
        resource = attributes_of(group["resource"]["attributes"])
        needed = {"service.name", "service.namespace", "service.instance.id", "service.version"}
        need(needed <= set(resource) and all(resource.values()), f"resource: {resource}")
        for scope in group["scopeSpans"]:
            need(set(scope) == {"scope", "spans"} and scope["scope"]["name"] == "dispatch", f"scope: {scope['scope']}")
            out += [Span(raw, resource) for raw in scope["spans"]]
    need(0 < len(out) <= MOST_SPANS, f"{len(out)} spans in a request")
    return out


class Collector:
    """`script(*answers)`: the next requests get these, and are not taken unless they are 2xx."""

    def __init__(self):
        self.receiver = Receiver().__enter__()
        endpoint = self.receiver.endpoint(self._take, below="/v1/traces")
        self.url = endpoint.url.removesuffix("/v1/traces")
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self._script: list[Answer] = []
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    def script(self, *answers: Answer) -> None:
        with self._lock:
            self._script = list(answers)

    @property
    def unused(self) -> int:
        """Answers of the script that nobody got yet."""
        return len(self._script)

    def _take(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            answer = self._script.pop(0) if self._script else OK
            try:
                spans = spans_of(request)
            except (Fault, KeyError, TypeError, ValueError) as fault:
                self.faults.append(f"{type(fault).__name__}: {fault}")
                return Answer(400)
            if answer.is_whole and answer.status < 300:
                self._spans += spans
            return answer

    def trace(self, trace: str) -> list[Span]:
        with self._lock:
            return sorted((span for span in self._spans if span.trace == trace), key=lambda span: span.start)

    def close(self) -> None:
        if not self.receiver.loop.is_closed():
            self.receiver.__exit__()
