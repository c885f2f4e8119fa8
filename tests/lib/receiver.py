"""A subscriber's endpoint whose behaviour a test scripts: one HTTP server, many endpoints.

It runs on an event loop in a thread of its own, so that hundreds of slow answers cost no threads.
"""

import asyncio
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable

REASONS = {200: "OK", 204: "No Content", 503: "Service Unavailable"}


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    hang: bool = False  # the connection stays, no answer ever comes
    reset: bool = False  # the connection is cut instead of an answer
    drip: bool = False  # the body comes byte by byte, a second apart
    lie: int = 0  # so many bytes more are announced than come before the connection ends

    @property
    def is_whole(self) -> bool:
        """Somebody who waits for it gets an answer."""
        return not (self.hang or self.reset or self.drip or self.lie)


OK = Answer()


@dataclasses.dataclass
class Request:
    time: float  # monotonic, when the whole request was there
    method: str
    target: str
    headers: dict  # lower-case names
    body: bytes

    def __getitem__(self, name: str) -> str:
        return self.headers[name.lower()]

    @property
    def event_id(self) -> str | None:
        return self.headers.get("ce-id")

    @property
    def delivery_id(self) -> str | None:
        return self.headers.get("webhook-id")


class Endpoint:
    """One path. Answers with the script, request by request, and then always with `default`."""

    def __init__(self, url: str, default):
        self.url = url
        self.default: Answer | Callable[[Request], Answer] = default
        self._script: list[Answer] = []
        self._requests: list[Request] = []
        self._statuses: list[int] = []
        self._lock = threading.Lock()

    def script(self, *answers: Answer) -> "Endpoint":
        with self._lock:
            self._script.extend(answers)
        return self

    def take(self, request: Request) -> Answer:
        with self._lock:
            if self._script:
                answer = self._script.pop(0)
            else:
                answer = self.default(request) if callable(self.default) else self.default
            self._requests.append(request)
            self._statuses.append(answer.status if answer.is_whole else 0)
        return answer

    def lost(self, request: Request) -> None:
        """Whoever sent it was gone before it got its answer."""
        with self._lock:
            for i in reversed(range(len(self._requests))):
                if self._requests[i] is request:
                    self._statuses[i] = 0
                    return

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    @property
    def last_time(self) -> float:
        with self._lock:
            return self._requests[-1].time if self._requests else 0.0

    @property
    def statuses(self) -> list[int]:
        """What each request was answered, 0 for nothing."""
        with self._lock:
            return list(self._statuses)

    @property
    def event_ids(self) -> list[str | None]:
        return [request.event_id for request in self.requests]

    def __len__(self) -> int:
        return len(self._requests)


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time; bodies by length or chunked."""

    def __init__(self, receiver: "Receiver"):
        self.receiver = receiver
        self.buffer = bytearray()
        self.busy = False
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self.receiver.connections.add(transport)

    def connection_lost(self, fault):
        self.receiver.connections.discard(self.transport)
        self.receiver.hanging.discard(self.transport)

    def data_received(self, data):
        self.buffer += data
        self.advance()

    def advance(self):
        if self.busy:
            return
        request = self.parse()
        if request is None:
            return
        answer = self.receiver.answer(request)
        if answer.hang:
            self.busy = True
            self.receiver.hanging.add(self.transport)
        elif answer.reset:
            self.transport.abort()
        elif answer.delay > 0:
            self.busy = True
            self.receiver.loop.call_later(answer.delay, self.write, answer, request)
        else:
            self.write(answer, request)

    def parse(self) -> Request | None:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body, used = self.parse_chunks(end + 4)
            if body is None:
                return None
        else:
            length = int(headers.get("content-length", 0))
            used = end + 4 + length
            if len(self.buffer) < used:
                return None
            body = bytes(self.buffer[end + 4 : used])
        del self.buffer[:used]
        return Request(time.monotonic(), method, target, headers, body)

    def parse_chunks(self, at: int):
        body = bytearray()
        while True:
            end = self.buffer.find(b"\r\n", at)
            if end < 0:
                return None, 0
            size = int(bytes(self.buffer[at:end]).split(b";")[0], 16)
            if len(self.buffer) < end + 2 + size + 2:
                return None, 0
            body += self.buffer[end + 2 : end + 2 + size]
            at = end + 2 + size + 2
            if size == 0:
                return bytes(body), at

    def write(self, answer: Answer, request: Request):
        self.busy = False
        if self.transport.is_closing():
            self.receiver.lost(request)
            return
        head = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Scripted')}"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status != 204:
            head.append(f"Content-Length: {len(answer.body) + answer.lie}")
        self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n")
        if answer.drip:
            self.busy = True
            self.drip(answer.body)
            return
        self.transport.write(answer.body)
        if answer.lie:
            self.transport.close()
        else:
            self.advance()

    def drip(self, rest: bytes):
        if not self.transport.is_closing():
            self.transport.write(rest[:1])
            if len(rest) > 1:
                self.receiver.loop.call_later(1.0, self.drip, rest[1:])
            else:
                self.transport.close()


class Receiver:
    """`with Receiver() as receiver: receiver.endpoint()`."""

    def __init__(self, host: str = "127.0.0.1"):
        self.host = host
        self.loop = asyncio.new_event_loop()
        self.connections = set()
        self.hanging = set()
        self._endpoints: dict[str, Endpoint] = {}
        self._numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._started = threading.Event()
        self.port = 0

    def __enter__(self) -> "Receiver":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            self.loop.create_server(lambda: _Connection(self), self.host, 0, backlog=1024)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self.loop.run_forever()
        server.close()
        for transport in list(self.connections):
            transport.abort()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def endpoint(self, default: Answer | Callable[[Request], Answer] = OK, below: str = "") -> Endpoint:
        path = f"/hook/{next(self._numbers)}{below}"
        endpoint = Endpoint(f"http://127.0.0.1:{self.port}{path}", default)
        self._endpoints[path] = endpoint
        return endpoint

    def cut_hanging(self) -> None:
        """Resets the connections of all requests that were left hanging."""
        self.loop.call_soon_threadsafe(
            lambda: [transport.abort() for transport in list(self.hanging)]
        )

    def answer(self, request: Request) -> Answer:
        endpoint = self._endpoints.get(request.target.partition("?")[0])
        return Answer(404) if endpoint is None else endpoint.take(request)

    def lost(self, request: Request) -> None:
        endpoint = self._endpoints.get(request.target.partition("?")[0])
        if endpoint is not None:
            endpoint.lost(request)
