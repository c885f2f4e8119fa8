"""What a run needs of the kernel, where it may: a network and mounts of its own. In them packets can
vanish one way or both, and a disk can be full, and nobody else notices."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

INSIDE = "DISPATCH_CHAOS_NAMESPACE"
NOWHERE = "nowhere"
TABLE = "100"

# Policy routes send what is to be lost into a cable that ends nowhere; the local table comes after.
SET_UP = f"""
ip link set lo up
ip rule add pref 1000 lookup local
ip rule del pref 0
ip link add {NOWHERE} type veth peer name nobody
ip link set {NOWHERE} up
ip link set nobody up
ip addr add 192.0.2.1/32 dev {NOWHERE}
sysctl -qw net.ipv4.conf.{NOWHERE}.route_localnet=1
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:09 dev {NOWHERE} nud permanent
ip neigh add 127.0.0.1 lladdr 02:00:00:00:00:09 dev {NOWHERE} nud permanent
ip route add default via 192.0.2.2 dev {NOWHERE} onlink table {TABLE}
ip rule add pref 1 ipproto tcp dport 1 lookup {TABLE}
ip rule del pref 1 ipproto tcp dport 1 lookup {TABLE}
mount -t tmpfs -o size=64k tmpfs /mnt
umount /mnt
"""


def enter() -> None:
    """Runs the program again in namespaces of its own, if this machine allows that."""
    if INSIDE in os.environ or os.geteuid() != 0 or not shutil.which("unshare"):
        return
    command = ["unshare", "--net", "--mount", "--propagation", "private"]
    trial = subprocess.run([*command, "sh", "-ec", SET_UP], capture_output=True)
    if trial.returncode == 0:
        os.environ[INSIDE] = "yes"
        os.execvp(command[0], [*command, sys.executable, *sys.argv])


def is_own() -> bool:
    return INSIDE in os.environ


def set_up() -> None:
    if is_own():
        subprocess.run(["sh", "-ec", SET_UP], check=True)


def lose(port: int, way: str, begin: bool) -> None:
    """From now on, or no more, packets `to` or `from` whoever listens on the port vanish."""
    selector = "dport" if way == "to" else "sport"
    rule = ["pref", "1", "ipproto", "tcp", selector, str(port), "lookup", TABLE]
    subprocess.run(["ip", "rule", "add" if begin else "del", *rule], check=True)


class Disk:
    """A file system of its own for what lies in `place`; in memory, so that it can be made small."""

    SIZE = 2 << 30

    def __init__(self, place: Path):
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.SIZE}", "tmpfs", place], check=True)

    def _resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.place], check=True)

    def fill(self) -> None:
        for slack in (256, 1024, 4096, 16384):  # KiB; it grows while we look
            usage = shutil.disk_usage(self.place)
            try:
                return self._resize((usage.used >> 12 << 12) + (slack << 10))
            except subprocess.CalledProcessError:
                continue
        raise RuntimeError(f"{self.place} grows too fast to be filled")

    def empty(self) -> None:
        self._resize(self.SIZE)

    def remove(self) -> None:
        subprocess.run(["umount", "-l", self.place], check=False)
