"""How much memory and how many descriptors each service takes, looked at every second."""

import os
import threading
from pathlib import Path

from lib.stack import SERVICES, Stack

STEP = 1.0
# What a run may not exceed. Far above what is seen, far below what something unbounded would take.
MEMORY_BOUND = 384  # MiB, resident
FILES_BOUND = 2000


def look(pid: int) -> tuple[float, int] | None:
    """Resident MiB and open descriptors; None when it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(os.listdir(f"/proc/{pid}/fd"))
        (line,) = [x for x in status.splitlines() if x.startswith("VmRSS:")]
    except (OSError, ValueError):
        return None
    return int(line.split()[1]) / 1024, files


class Watch:
    def __init__(self, stack: Stack, others):
        """others() -> (service, pid) of more instances."""
        self.stack = stack
        self.others = others
        self.memory = dict.fromkeys(SERVICES, 0.0)
        self.files = dict.fromkeys(SERVICES, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(STEP):
            for service, pid in [*((s, self.stack.pid(s)) for s in SERVICES), *self.others()]:
                if pid is None or (seen := look(pid)) is None:
                    continue
                self.memory[service] = max(self.memory[service], seen[0])
                self.files[service] = max(self.files[service], seen[1])

    def faults(self) -> list[str]:
        found = [
            f"{service} took {taken:.0f} MiB"
            for service, taken in self.memory.items()
            if taken > MEMORY_BOUND
        ]
        return found + [
            f"{service} had {count} descriptors open"
            for service, count in self.files.items()
            if count > FILES_BOUND
        ]
