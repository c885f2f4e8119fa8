"""Established connections of a process, out of /proc: no tool, no root."""

import dataclasses
import os
import socket
import struct
from pathlib import Path

ESTABLISHED = "01"


@dataclasses.dataclass(frozen=True)
class Tcp:
    local: tuple[str, int]
    remote: tuple[str, int]


def socket_inodes(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    raw = bytes.fromhex(host)
    if len(raw) == 4:
        name = socket.inet_ntop(socket.AF_INET, raw[::-1])
    else:
        words = struct.unpack("<4I", raw)
        name = socket.inet_ntop(socket.AF_INET6, struct.pack(">4I", *words)).removeprefix("::ffff:")
    return name, int(port, 16)


def tcp_connections(pid: int) -> set[Tcp]:
    inodes = socket_inodes(pid)
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == ESTABLISHED and fields[9] in inodes:
                found.add(Tcp(address(fields[1]), address(fields[2])))
    return found


def listening_ports(pid: int) -> set[int]:
    inodes = socket_inodes(pid)
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(address(fields[1])[1])
    return found


def unix_sockets(pid: int) -> set[str]:
    """Paths of its named or connected unix sockets; "" for those without a name."""
    inodes = socket_inodes(pid)
    found = set()
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if fields[6] in inodes:
            found.add(fields[7] if len(fields) > 7 else "")
    return found
