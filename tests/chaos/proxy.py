#!/usr/bin/env python3
"""A TCP proxy that does harm when told to: a program of its own, so that it takes no time from those
who measure.

stdin: one JSON object a line, answered by one line on stdout:
  {"open": [[PORT, UPSTREAM-PORT], ...]}    listens; PORT is what a fault names
  {"fault": KIND, "ports": [...], "way": "both"|"to"|"from", "seed": N, "delay": SECONDS}
  {"clear": [PORT, ...]}
It ends when stdin does. Way: `to` the server, `from` it.

| kind     | while it lasts                                                                       |
|----------|--------------------------------------------------------------------------------------|
| delay    | bytes come `delay` seconds later, at most half of that more                          |
| stall    | no byte passes and nobody is told; afterwards all of them do                         |
| reset    | each connection is reset within two seconds                                          |
| truncate | within two seconds half of what is sent next arrives, and then the end               |
| garbage  | within two seconds, between messages, noise arrives, and then the end                |

Garbage comes only where a connection was silent for a moment: noise in the middle of a message that
has no checksum is another message, which nobody without TLS could tell from a true one.
"""

import asyncio
import collections
import json
import random
import socket
import struct
import sys
import time

HOST = "127.0.0.1"
SOON = 2.0  # seconds within which a connection meets its fault
SILENCE = 0.05  # seconds after which a connection is between two messages
HIGH_WATER = 256 * 1024
NO_LINGER = struct.pack("ii", 1, 0)


class Link:
    """What is done to the connections of one listening port."""

    def __init__(self, upstream: int):
        self.upstream = upstream
        self.kind: str | None = None
        self.ways: tuple = ()
        self.delay = 0.0
        self.dice = random.Random()
        self.pairs: set = set()

    def begin(self, kind: str, way: str, seed: int, delay: float) -> None:
        self.kind, self.delay = kind, delay
        self.ways = ("to", "from") if way == "both" else (way,)
        self.dice = random.Random(seed)
        for pair in list(self.pairs):
            pair.begin()

    def end(self) -> None:
        self.kind, self.ways = None, ()
        for pair in list(self.pairs):
            pair.end()


class Side(asyncio.Protocol):
    """One end of a connection through the proxy; what it reads goes `way`, to its peer."""

    def __init__(self, pair: "Pair", way: str):
        self.pair = pair
        self.way = way
        self.transport: asyncio.Transport | None = None
        self.peer: Side | None = None
        self.waiting: list[bytes] = []  # before the peer is there, or while it stalls
        self.cut_next = False
        self.ended = False  # it sends no more
        self.finished = False  # and is sent no more
        self.heard = time.monotonic()
        self.late: collections.deque = collections.deque()  # (due, bytes)

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(HIGH_WATER)
        self.pair.made(self)

    def data_received(self, data):
        self.heard = time.monotonic()
        if self.cut_next:
            self.peer.write(data[: len(data) // 2])
            self.peer.write_end()
            self.read(False)  # closing with something unread would be a reset
            self.pair.loop.call_later(SILENCE, self.pair.close)
        elif self.held():
            self.waiting.append(data)
            self.read(len(self.waiting) < 16)
        elif self.pair.link.kind == "delay" and self.way in self.pair.link.ways:
            self.later(data, self.pair.link.delay * (1 + self.pair.link.dice.random() / 2))
        elif self.late:
            self.later(data, 0.0)
        else:
            self.peer.write(data)

    def held(self) -> bool:
        link = self.pair.link
        return (
            self.peer is None
            or self.peer.transport is None
            or (link.kind == "stall" and self.way in link.ways)
        )

    def later(self, data: bytes | None, delay: float):
        """None is the end. Everything keeps its order."""
        due = self.pair.loop.time() + delay
        if self.late:
            due = max(due, self.late[-1][0])
        self.late.append((due, data))
        if len(self.late) == 1:
            self.pair.loop.call_at(due, self.hand_on)

    def hand_on(self):
        while self.late and self.late[0][0] <= self.pair.loop.time():
            _, data = self.late.popleft()
            if data is not None:
                self.peer.write(data)
            elif self.peer.ended:
                self.pair.close()
            else:
                self.peer.write_end()
        if self.late:
            self.pair.loop.call_at(self.late[0][0], self.hand_on)
        elif self.pair.one_is_gone:
            self.pair.close()

    def release(self):
        """What was held goes on."""
        if self.held():
            return
        waiting, self.waiting = self.waiting, []
        for data in waiting:
            self.later(data, 0.0) if self.late else self.peer.write(data)
        self.read(True)
        if self.ended:
            self.pass_end()

    def pass_end(self):
        self.later(None, 0.0)

    def write(self, data):
        if self.transport is not None and not self.transport.is_closing() and not self.finished:
            self.transport.write(data)

    def write_end(self):
        if self.transport is not None and not self.transport.is_closing() and not self.finished:
            self.finished = True
            try:
                self.transport.write_eof()
            except OSError:
                self.pair.reset()

    def read(self, wanted: bool):
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.resume_reading() if wanted else self.transport.pause_reading()

    def eof_received(self):
        self.ended = True
        if not self.held():
            self.pass_end()
        return True  # the other direction goes on

    def pause_writing(self):
        self.peer.read(False)

    def resume_writing(self):
        self.peer.read(True)

    def connection_lost(self, fault):
        self.pair.lost(self, fault)


class Pair:
    """A client's connection and ours to the server."""

    def __init__(self, link: Link, loop):
        self.link = link
        self.loop = loop
        self.client = Side(self, "to")
        self.server = Side(self, "from")
        self.timer = None
        self.one_is_gone = False
        link.pairs.add(self)

    def made(self, side: Side):
        if side is self.client:
            self.loop.create_task(self.connect())
            return
        self.client.peer, self.server.peer = self.server, self.client
        self.client.release()
        self.begin()

    async def connect(self):
        try:
            await self.loop.create_connection(lambda: self.server, HOST, self.link.upstream)
        except OSError:
            self.reset()  # as near as one who has accepted comes to a refusal

    def begin(self):
        if self.client.peer and self.link.kind in ("reset", "truncate", "garbage"):
            self.timer = self.loop.call_later(self.link.dice.random() * SOON, self.strike)

    def strike(self):
        side = self.client if self.link.dice.choice(self.link.ways or ("to",)) == "to" else self.server
        if self.link.kind == "reset":
            self.reset()
        elif self.link.kind == "truncate":
            side.cut_next = True
        elif self.link.kind == "garbage":
            if time.monotonic() - side.heard < SILENCE:
                self.timer = self.loop.call_later(SILENCE / 4, self.strike)
                return
            # No byte of it begins a message of Kafka, PostgreSQL or HTTP.
            side.peer.write(bytes(self.link.dice.randrange(0x80, 0x100) for _ in range(64)))
            self.close()

    def end(self):
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        for side in (self.client, self.server):
            side.cut_next = False
            side.release()
        if self.one_is_gone:
            self.close()

    def close(self):
        for side in (self.client, self.server):
            if side.transport is not None:
                side.transport.close()

    def reset(self):
        for side in (self.client, self.server):
            if side.transport is not None:
                sock = side.transport.get_extra_info("socket")
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                except OSError:
                    pass
                side.transport.abort()

    def lost(self, side: Side, fault):
        if self.timer is not None:
            self.timer.cancel()
        other = self.server if side is self.client else self.client
        if self.one_is_gone or other.transport is None:
            self.link.pairs.discard(self)
            return
        self.one_is_gone = True
        if self.link.kind == "stall" and side.way in self.link.ways:
            return  # the other does not learn of it before the stall ends
        if fault is not None:
            self.reset()
        elif not side.late:
            other.transport.close()


class Proxy:
    def __init__(self, loop):
        self.loop = loop
        self.links: dict[int, Link] = {}

    async def open(self, pairs: list) -> None:
        for port, upstream in pairs:
            link = self.links[port] = Link(upstream)
            await self.loop.create_server(
                lambda link=link: Pair(link, self.loop).client, HOST, port, backlog=1024
            )

    async def obey(self, order: dict) -> None:
        if "open" in order:
            await self.open(order["open"])
        for port in order.get("clear", []):
            self.links[port].end()
        for port in order.get("ports", []):
            self.links[port].begin(
                order["fault"], order["way"], order.get("seed", 0) + port, order.get("delay", 0.0)
            )


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    proxy = Proxy(loop)
    while line := await reader.readline():
        answer = {}
        try:
            await proxy.obey(json.loads(line))
        except Exception as fault:  # noqa: BLE001: whoever gave the order is told
            answer = {"error": f"{type(fault).__name__}: {fault}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
