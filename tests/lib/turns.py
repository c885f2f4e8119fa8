"""The workers of one run of the functional suite tell each other, in files, what they have done."""

import dataclasses
import json
import time
from pathlib import Path

import pytest

from .client import Exchange

PATIENCE = 300.0  # for the next test that is done: longer than any takes


class Turns:
    """Of one worker. `last`: the tests that wait until all `others` are done."""

    def __init__(
        self,
        folder: Path,
        worker: str,
        last: list[str],
        others: list[str],
        seen: list[Exchange],
    ):
        self.folder = folder
        self.worker = worker
        self.last = set(last)
        self.others = set(others)
        self.seen = seen
        self.told = 0  # of `seen`
        self.append("last", last)  # for the scheduler

    def done(self, test: str) -> None:
        """With its exchanges, which are in their file before the test is."""
        fresh = self.seen[self.told :]
        self.told += len(fresh)
        self.append("exchanges", [json.dumps(dataclasses.astuple(e)) for e in fresh])
        self.append("done", [test])

    def begin(self, test: str) -> None:
        if test in self.last:
            self.await_others()

    def await_others(self) -> None:
        waited_since, left = time.monotonic(), None
        while missing := self.others - set(self.lines("done")):
            if len(missing) != left:
                waited_since, left = time.monotonic(), len(missing)
            elif time.monotonic() - waited_since > PATIENCE:
                pytest.exit(f"no test was done in {PATIENCE:g} s, not {sorted(missing)[0]}", 3)
            time.sleep(0.05)

    def all_exchanges(self) -> list[Exchange]:
        """Of all workers, without those of the test that runs."""
        return [Exchange(*json.loads(line)) for line in self.lines("exchanges")]

    def append(self, what: str, lines: list[str]) -> None:
        with open(self.folder / f"{self.worker}.{what}", "a") as file:
            file.write("".join(line + "\n" for line in lines))

    def lines(self, what: str) -> list[str]:
        return lines(self.folder, what)


def lines(folder: Path, what: str) -> list[str]:
    """Whole ones, of all workers."""
    found = []
    for file in sorted(folder.glob(f"*.{what}")):
        text = file.read_text()
        found += text[: text.rfind("\n") + 1].splitlines()
    return found
