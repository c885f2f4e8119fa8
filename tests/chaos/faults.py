"""Kills, stops and brings back parts at random times of the run."""

import random
import threading
import time
from collections import Counter

from lib.stack import SERVICES, Stack

KILL, TERM = "SIGKILL", "SIGTERM"
FLOW_BOUND = 12.0  # seconds


def plan(seconds: float, seed: int) -> list[tuple[float, str, str]]:
    """(second, part, signal), in order. Per 120 s: three SIGKILLs for each service and one for
    Kafka, one restart of PostgreSQL and four SIGTERMs of services; each SIGKILL at least once."""
    dice = random.Random(seed)
    times = max(1, round(3 * seconds / 120))
    acts = [(service, KILL) for service in SERVICES for _ in range(times)]
    acts += [("kafka", KILL)] * max(1, round(seconds / 120))
    acts += [("postgres", TERM)] * max(1, round(seconds / 120))
    acts += [(dice.choice(SERVICES), TERM) for _ in range(max(1, round(seconds / 30)))]
    dice.shuffle(acts)
    # Evenly with jitter, so that some fall together; the first second belongs to the load.
    slot = (seconds - 2) / len(acts)
    return sorted(
        (1 + slot * (i + dice.random() * 0.9), part, signal)
        for i, (part, signal) in enumerate(acts)
    )


class Faults:
    def __init__(self, stack: Stack, acts: list, flowing, say, seed: int):
        """flowing() tells whether subscribers are being called just now."""
        self.stack = stack
        self.flowing = flowing
        self.dice = random.Random(seed)
        self.acts = acts
        self.say = say
        self.done: Counter = Counter()  # (part, signal)
        self.problems: list[str] = []
        self.log: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)

    def start(self) -> None:
        self.started = time.monotonic()
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        for second, part, signal in self.acts:
            if self._stop.wait(max(0.0, self.started + second - time.monotonic())):
                return
            try:
                self._act(part, signal)
            except Exception as fault:  # noqa: BLE001: a run with one fault less is still a run
                self.problems.append(f"{signal} of {part}: {fault}")

    def _await_flow(self) -> None:
        """Most kills must hit work in flight; the others may well hit a recovery."""
        deadline = time.monotonic() + FLOW_BOUND
        if self.dice.random() < 0.25:
            return
        while not self.flowing() and time.monotonic() < deadline and not self._stop.is_set():
            time.sleep(0.02)

    def _act(self, part: str, signal: str) -> None:
        self._await_flow()
        at = time.monotonic() - self.started
        self.say(f"  {at:5.1f} s  {signal} {part}")
        if self.stack.pid(part) is None:
            self.problems.append(f"{part} was dead at {at:.1f} s, and nobody had killed it")
            self.stack.restart(part, wait=False)
            return
        if signal == KILL:
            self.stack.kill(part)
            self.stack.restart(part, wait=False)
        else:
            before = time.monotonic()
            done = self.stack.tool("restart", part, "--no-wait")
            took = time.monotonic() - before
            if "did not stop" in done.stderr:
                self.problems.append(f"{part} did not stop after SIGTERM within {took:.0f} s")
        self.done[part, signal] += 1

    def heal(self) -> None:
        """Everything runs and is ready."""
        for part in ("kafka", "postgres", *SERVICES):
            if self.stack.pid(part) is None:
                self.problems.append(f"{part} was dead at the end, and nobody had killed it")
                self.stack.restart(part)
        self.stack.await_ready(90)
