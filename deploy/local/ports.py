#!/usr/bin/env python3
"""Ports on 127.0.0.1.

  ports.py free N          prints N free ports, one line
  ports.py owner PORT...   prints "PORT PID PROGRAM" for each port on which somebody listens
"""

import glob
import os
import random
import socket
import sys

LOOPBACK = "127.0.0.1"


def free(count: int) -> list[int]:
    # Below the range from which the kernel takes ports for outgoing connections.
    ports: list[int] = []
    held = []
    while len(ports) < count:
        port = random.randrange(20000, 32000)
        candidate = socket.socket()
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            candidate.close()
            continue
        held.append(candidate)
        ports.append(port)
    for each in held:
        each.close()
    return ports


def listeners() -> dict[int, str]:
    """Port -> socket inode of everything in state LISTEN."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                next(lines)
                for line in lines:
                    fields = line.split()
                    if fields[3] == "0A":
                        found[int(fields[1].rsplit(":", 1)[1], 16)] = fields[9]
        except OSError:
            continue
    return found


def owner(inode: str) -> tuple[str, str]:
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(link) != f"socket:[{inode}]":
                continue
            pid = link.split("/")[2]
            with open(f"/proc/{pid}/cmdline", "rb") as command:
                words = command.read().decode(errors="replace").split("\0")
            return pid, os.path.basename(words[0]) + (" " + words[-2] if len(words) > 2 else "")
        except OSError:
            continue
    return "?", "another user's process"


def main(arguments: list[str]) -> int:
    if len(arguments) == 2 and arguments[0] == "free":
        print(*free(int(arguments[1])))
        return 0
    if len(arguments) >= 2 and arguments[0] == "owner":
        listening = listeners()
        for port in map(int, arguments[1:]):
            if port in listening:
                print(port, *owner(listening[port]))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
