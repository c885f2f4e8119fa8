"""Kills, freezes, stops and brings back parts at random times of the run."""

import dataclasses
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter

from lib.stack import SERVICES, Stack, is_running

KILL, TERM, FREEZE, STORM = "SIGKILL", "SIGTERM", "SIGSTOP", "storm"
MANAGERS = ("event-manager", "function-manager")
FLOW_BOUND = 12.0  # seconds
STORM_STEP = 2.0  # seconds between members that join and leave
# How long after a fault what it interrupted may still be sent again.
AFTERMATH = 30.0


@dataclasses.dataclass(frozen=True)
class Act:
    at: float  # seconds from the start of the load
    part: str
    how: str
    span: float = 0.0  # seconds, of what lasts

    def __str__(self) -> str:
        lasting = f" for {self.span:g} s" if self.span else ""
        return f"{self.how} {self.part}{lasting}"


def plan(seconds: float, seed: int, brokers: int = 1) -> list[Act]:
    """In order. Per 120 s: three SIGKILLs for each service and one for Kafka, one restart of
    PostgreSQL and four SIGTERMs of services; each SIGKILL at least once. With several brokers, too:
    a SIGKILL for each of them, parts that are frozen, members that come and go."""
    dice = random.Random(seed)
    times = max(1, round(3 * seconds / 120))
    each = max(1, round(seconds / 120))
    kafka = ["kafka"] if brokers == 1 else [f"kafka-{n + 1}" for n in range(brokers)]
    acts = [(service, KILL, 0.0) for service in SERVICES for _ in range(times)]
    acts += [(node, KILL, 0.0) for node in kafka for _ in range(each)]
    acts += [("postgres", TERM, 0.0)] * each
    acts += [(dice.choice(SERVICES), TERM, 0.0) for _ in range(max(1, round(seconds / 30)))]
    if brokers > 1:
        parts = [*SERVICES, *kafka, "postgres"]
        acts += [(dice.choice(parts), FREEZE, 5.0) for _ in range(3 * each)]
        # Longer than the session: what wakes up owns nothing any more, and must not act.
        acts += [(manager, FREEZE, 20.0) for manager in MANAGERS for _ in range(each)]
        acts += [(dice.choice(kafka), FREEZE, 20.0)] * each
        acts += [(manager, STORM, min(180.0, seconds / 4)) for manager in MANAGERS]
        if seconds >= 600:
            acts += [(dice.choice(parts), FREEZE, 90.0)]
    dice.shuffle(acts)
    # Evenly with jitter, so that some fall together; the first second belongs to the load.
    slot = (seconds - 2) / len(acts)
    return sorted(
        (
            Act(1 + slot * (i + dice.random() * 0.9), part, how, span)
            for i, (part, how, span) in enumerate(acts)
        ),
        key=lambda act: act.at,
    )


class Members:
    """More instances of the managers: one of each that stays, and those of a storm."""

    def __init__(self, stack: Stack):
        self.stack = stack
        self._processes: dict[str, list[subprocess.Popen]] = {manager: [] for manager in MANAGERS}
        self._lock = threading.Lock()

    def start(self, service: str) -> subprocess.Popen:
        process = self.stack.start_another(service)
        with self._lock:
            self._processes[service].append(process)
        return process

    def end(self, service: str, process: subprocess.Popen, how: str) -> None:
        process.send_signal(getattr(signal, how))
        process.wait(60)
        with self._lock:
            self._processes[service].remove(process)

    def dead(self) -> list[str]:
        with self._lock:
            return [
                f"a second {service} ended by itself with {process.returncode}"
                for service, processes in self._processes.items()
                for process in processes
                if process.poll() is not None
            ]

    def end_all(self) -> None:
        for service, processes in self._processes.items():
            for process in list(processes):
                self.end(service, process, TERM)


class Faults:
    def __init__(self, stack: Stack, acts: list[Act], flowing, say, seed: int, wide: bool = False):
        """flowing() tells whether subscribers are being called just now. `wide`: a second instance
        of each manager runs all the time."""
        self.stack = stack
        self.flowing = flowing
        self.dice = random.Random(seed)
        self.acts = acts
        self.say = say
        self.members = Members(stack)
        self.wide = wide
        self.done: Counter = Counter()  # (part, how)
        self.problems: list[str] = []
        self.spans: list[tuple[float, float]] = []  # monotonic times between which a fault worked
        self._frozen: dict[str, tuple[int, float]] = {}  # part -> process group, until when
        self._lasting: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)

    def start(self) -> None:
        if self.wide:
            for manager in MANAGERS:
                self.members.start(manager)
        self.started = time.monotonic()
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        for thread in self._lasting:
            thread.join()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident:
            self._thread.join(60)
        for thread in self._lasting:
            thread.join(60)
        self.members.end_all()

    def explains(self, first: float, second: float) -> bool:
        """Whether what was delivered at `first` may have been sent again at `second`."""
        return any(start <= second and first <= end + AFTERMATH for start, end in self.spans)

    def _run(self) -> None:
        for act in self.acts:
            if self._stop.wait(max(0.0, self.started + act.at - time.monotonic())):
                return
            try:
                self._act(act)
            except Exception as fault:  # noqa: BLE001: a run with one fault less is still a run
                self.problems.append(f"{act}: {fault}")

    def _await_flow(self) -> None:
        """Most kills must hit work in flight; the others may well hit a recovery."""
        deadline = time.monotonic() + FLOW_BOUND
        if self.dice.random() < 0.25:
            return
        while not self.flowing() and time.monotonic() < deadline and not self._stop.is_set():
            time.sleep(0.02)

    def _act(self, act: Act) -> None:
        self._await_flow()
        begun = time.monotonic()
        self.say(f"  {begun - self.started:5.1f} s  {act}")
        if self.stack.pid(act.part) is None:
            self.problems.append(
                f"{act.part} was dead at {begun - self.started:.1f} s, and nobody had killed it"
            )
            self.stack.restart(act.part, wait=False)
            return
        elif act.how == KILL:
            self.stack.kill(act.part)
            self._thawed(act.part)
            self.stack.restart(act.part, wait=False)
        elif act.how == TERM:
            self._terminate(act.part)
        elif act.how == FREEZE:
            self._freeze(act)
        elif act.how == STORM:
            self._in_background(self._storm, act)
        self.spans.append((begun, time.monotonic() + act.span))
        self.done[act.part, act.how] += 1

    def _terminate(self, part: str) -> None:
        self._await_thaw(part)
        before = time.monotonic()
        done = self.stack.tool("restart", part, "--no-wait")
        if "did not stop" in done.stderr:
            took = time.monotonic() - before
            self.problems.append(f"{part} did not stop after SIGTERM within {took:.0f} s")

    def _in_background(self, work, act: Act) -> None:
        thread = threading.Thread(target=self._guarded, args=(work, act), daemon=True)
        self._lasting.append(thread)
        thread.start()

    def _guarded(self, work, act: Act) -> None:
        try:
            work(act)
        except Exception as fault:  # noqa: BLE001
            self.problems.append(f"{act}: {fault}")

    # ---- what lasts

    def _freeze(self, act: Act) -> None:
        with self._lock:
            if act.part in self._frozen:
                return
            group = os.getpgid(self.stack.pid(act.part))
            self._frozen[act.part] = (group, time.monotonic() + act.span)
        os.killpg(group, signal.SIGSTOP)
        self._in_background(self._thaw, act)

    def _thaw(self, act: Act) -> None:
        self._stop.wait(act.span)
        with self._lock:
            group, _ = self._frozen.pop(act.part, (None, 0.0))
        if group is not None and is_running(group):
            os.killpg(group, signal.SIGCONT)

    def _thawed(self, part: str) -> None:
        with self._lock:
            self._frozen.pop(part, None)

    def _await_thaw(self, part: str) -> None:
        with self._lock:
            _, until = self._frozen.get(part, (None, 0.0))
        self._stop.wait(max(0.0, until - time.monotonic() + 0.5))

    def _storm(self, act: Act) -> None:
        """A member more every two seconds, and the one before it goes, each the other way."""
        end = time.monotonic() + act.span
        previous, joined = None, 0
        while time.monotonic() < end and not self._stop.is_set():
            process = self.members.start(act.part)
            joined += 1
            self._stop.wait(STORM_STEP)
            if previous is not None:
                self.members.end(act.part, previous, KILL if joined % 2 else TERM)
            previous = process
        if previous is not None:
            self.members.end(act.part, previous, TERM)

    def heal(self) -> None:
        """Everything runs and is ready."""
        self.problems += self.members.dead()
        self.members.end_all()
        parts = [part for part in self.stack.parts() if part not in SERVICES]
        for part in (*parts, *SERVICES):
            if self.stack.pid(part) is None:
                self.problems.append(f"{part} was dead at the end, and nobody had killed it")
                self.stack.restart(part)
        self.stack.await_ready(90)
