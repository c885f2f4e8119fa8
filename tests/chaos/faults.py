"""Does to the parts what was planned, and notes what it did, when, and what that explains."""

import dataclasses
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import network
import plan
from lib.stack import SERVICES, Stack, is_running
from lib.wait import eventually
from links import ENDPOINTS, Links
from plan import MANAGERS, Act

FLOW_BOUND = 12.0  # seconds
STORM_STEP = 2.0  # seconds between members that join and leave
DYING = 3.0
# How long after a fault what it interrupted may still be sent again: a delivery that was in flight is
# put aside until its deadline and some grace.
AFTERMATH = 30.0
# How long after a fault its victim may still work on what is not its own any more, or go.
RESETTLING = 10.0
# How old work may be that a crash makes undone: what was in flight (an endpoint takes 0.25 s) and the
# 100 ms between checkpoints, whose writing takes a while on a busy machine.
REACH = 0.25 + 0.1 + 0.4
TIMEOUT = 5.0  # of a delivery


@dataclasses.dataclass
class Cause:
    """A fault that did happen, between two monotonic times."""

    act: Act
    start: float
    end: float
    reach: float | None  # None: it makes nobody send again what was answered
    # Of what it explains: how many, delivered from when to when, and again from when to when.
    repeats: int = 0
    firsts: tuple = (float("inf"), 0.0)
    seconds: tuple = (float("inf"), 0.0)

    def note(self, first: float, second: float) -> None:
        self.repeats += 1
        self.firsts = (min(self.firsts[0], first), max(self.firsts[1], first))
        self.seconds = (min(self.seconds[0], second), max(self.seconds[1], second))

    @property
    def disturbs(self) -> bool:
        """Whether it may keep events from being accepted or delivered."""
        return not self.act.target.startswith("identity") and self.act.kind != plan.STORM

    def lost_acknowledgements(self, when: float) -> bool:
        """Whether Kafka may have taken an event twice then: an idempotent producer that gives up one
        event for want of an answer begins a new epoch, in which the others come again."""
        one, _, other = self.act.target.partition("|")
        concerned = one.startswith("kafka") or (one == "api-gateway" and other != "")
        return concerned and self.start <= when <= self.end + AFTERMATH

    def explains(self, first: float, second: float, others: Sequence["Cause"] = ()) -> bool:
        """Whether what was delivered at `first` may have come again at `second`. `others` may have
        kept from it whoever was to send it again."""
        if self.reach is None or not self.start - self.reach <= first <= self.end + RESETTLING:
            return False
        until = self.end + AFTERMATH
        for other in sorted(others, key=lambda cause: cause.start):
            if other.disturbs and self.start <= other.start <= until:
                until = max(until, other.end + AFTERMATH)
        return self.start <= second <= until


def reach_of(act: Act) -> float | None:
    """What the owner of deliveries loses: its life, its partitions, its checkpoints or an answer."""
    if act.target == ENDPOINTS:
        return TIMEOUT
    one, _, other = act.target.partition("|")
    owner = one == "function-manager"
    if act.kind == plan.TERM:
        return None  # it ends in order
    if owner or (one.startswith("kafka") or one == "postgres"):
        return REACH
    return None


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

    def pids(self) -> list[tuple[str, int]]:
        with self._lock:
            return [(s, p.pid) for s, processes in self._processes.items() for p in processes]

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
                self.end(service, process, "SIGTERM")


def family(pid: int) -> list[int]:
    """The process and all below it: PostgreSQL's are each in a session of its own."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                pass
    return found


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Faults:
    def __init__(
        self,
        stack: Stack,
        acts: list[Act],
        links: Links,
        disks: dict[str, network.Disk],
        flowing,
        say,
        seed: int,
        wide: bool = False,
    ):
        """flowing() tells whether subscribers are being called just now. `wide`: a second instance
        of each manager runs all the time."""
        self.stack = stack
        self.links = links
        self.disks = disks
        self.flowing = flowing
        self.dice = random.Random(seed)
        self.acts = acts
        self.say = say
        self.members = Members(stack)
        self.wide = wide
        self.done: Counter = Counter()  # (kind, target)
        self.problems: list[str] = []
        self.causes: list[Cause] = []
        self._frozen: dict[str, float] = {}  # part -> until when
        self._excused: set[str] = set()  # parts that may have ended for want of space
        self._lock = threading.Lock()
        self._stop = threading.Event()
        lanes = {}
        for act in acts:
            lanes.setdefault(self._lane(act), []).append(act)
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"faults-{name}", daemon=True)
            for name, lane in lanes.items()
        ]

    @staticmethod
    def _lane(act: Act) -> str:
        if act.kind == plan.STORM:
            return "storms"
        return "links" if act.kind in (*plan.LINK_KINDS, plan.PARTITION, plan.ONE_WAY) else "parts"

    def start(self) -> None:
        if self.wide:
            for manager in MANAGERS:
                self.members.start(manager)
        self.started = time.monotonic()
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.ident:
                thread.join(120)
        self.members.end_all()

    def explain(self, first: float, second: float) -> Cause | None:
        """The newest fault that explains why what was delivered at `first` came again."""
        causes = list(self.causes)
        found = [cause for cause in causes if cause.explains(first, second, causes)]
        return max(found, key=lambda cause: cause.start, default=None)

    def _run(self, acts: list[Act]) -> None:
        for act in acts:
            if self._stop.wait(max(0.0, self.started + act.at - time.monotonic())):
                return
            try:
                self._act(act)
            except Exception as fault:  # noqa: BLE001: a run with one fault less is still a run
                self.problems.append(f"{act}: {type(fault).__name__}: {fault}")

    def _await_flow(self) -> None:
        """Most faults must hit work in flight; the others may well hit a recovery."""
        deadline = time.monotonic() + FLOW_BOUND
        if self.dice.random() < 0.25:
            return
        while not self.flowing() and time.monotonic() < deadline and not self._stop.is_set():
            time.sleep(0.02)

    def _act(self, act: Act) -> None:
        self._await_flow()
        begun = time.monotonic()
        self.say(f"  {begun - self.started:5.1f} s  {act}")
        part, linked, _ = act.target.partition("|")
        if not linked and self.stack.pid(part) is None:
            if part not in self._excused:
                self.problems.append(
                    f"{part} was dead at {begun - self.started:.1f} s, and nobody had killed it"
                )
            self.stack.restart(part, wait=False)
            return
        # Until it ends it explains what comes meanwhile.
        cause = Cause(act, begun, float("inf"), reach_of(act))
        self.causes.append(cause)
        try:
            self._does(act)(act)
        finally:
            cause.end = time.monotonic()
        self.done[act.kind, act.target] += 1

    def _does(self, act: Act):
        if act.kind.startswith("freeze"):
            return self._freeze
        if act.kind in plan.LINK_KINDS:
            return self._harm_link
        return {
            plan.KILL: self._kill,
            plan.TERM: self._terminate,
            plan.LEADERS: self._terminate,
            plan.PG_FAST: self._stop_postgres,
            plan.PG_IMMEDIATE: self._stop_postgres,
            plan.STORM: self._storm,
            plan.PARTITION: self._part,
            plan.ONE_WAY: self._part,
            plan.DISK: self._fill_disk,
        }[act.kind]

    # ---- parts

    def _kill(self, act: Act) -> None:
        self.stack.kill(act.target)
        self._bring_back(act.target)

    def _bring_back(self, part: str) -> None:
        """Without a database or a broker nobody recovers: only when it is there its fault is over. A
        service's start is a part of its recovery."""
        self.stack.restart(part, wait=False)
        if part in SERVICES:
            return
        ports = [self.stack.pg_port] if part == "postgres" else self._ports(f"{part}|")
        eventually(lambda: all(map(listens, ports)), f"{part} is back", 90, step=0.1)

    def _terminate(self, act: Act) -> None:
        before = time.monotonic()
        done = self.stack.tool("restart", act.target, "--no-wait")
        if "did not stop" in done.stderr:
            took = time.monotonic() - before
            self.problems.append(f"{act.target} did not stop after SIGTERM within {took:.0f} s")
        if act.kind == plan.LEADERS:
            self._bring_back(act.target)

    def _stop_postgres(self, act: Act) -> None:
        pid = self.stack.pid("postgres")
        os.kill(pid, signal.SIGINT if act.kind == plan.PG_FAST else signal.SIGQUIT)
        eventually(lambda: not is_running(pid), "PostgreSQL stops", 30)
        self._bring_back("postgres")

    def _freeze(self, act: Act) -> None:
        pids = family(self.stack.pid(act.target))
        signal_all(pids, signal.SIGSTOP)
        try:
            self._stop.wait(act.span)
        finally:
            signal_all(pids, signal.SIGCONT)

    def _storm(self, act: Act) -> None:
        """A member more every two seconds, and the one before it goes, each the other way."""
        end = time.monotonic() + act.span
        previous, joined = None, 0
        while time.monotonic() < end and not self._stop.is_set():
            process = self.members.start(act.target)
            joined += 1
            self._stop.wait(STORM_STEP)
            if previous is not None:
                self.members.end(act.target, previous, "SIGKILL" if joined % 2 else "SIGTERM")
            previous = process
        if previous is not None:
            self.members.end(act.target, previous, "SIGTERM")

    def _fill_disk(self, act: Act) -> None:
        disk = self.disks[act.target]
        self._excused.add(act.target)  # it may end, or somebody may have to start it again
        disk.fill()
        try:
            self._stop.wait(act.span)
        finally:
            disk.empty()
        # Who met the end of the disk last takes a moment to die of it.
        deadline = time.monotonic() + DYING
        while self.stack.pid(act.target) is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        if self.stack.pid(act.target) is None:
            self.say(f"         {act.target} ended for want of space: it is started again")
            self._bring_back(act.target)
        self._excused.discard(act.target)

    # ---- links

    def _harm_link(self, act: Act) -> None:
        delay = self.dice.uniform(0.02, 0.3)
        self.links.harm(act.kind, act.target, act.way, self.dice.randrange(1 << 30), delay)
        try:
            self._stop.wait(act.span)
        finally:
            self.links.clear(act.target)

    def _part(self, act: Act) -> None:
        if not network.is_own():
            self.links.harm("stall", act.target, act.way, 0, 0.0)
            try:
                self._stop.wait(act.span)
            finally:
                self.links.clear(act.target)
            return
        ports = self._ports(act.target)
        self.links.cut(ports, act.way, True)
        try:
            self._stop.wait(act.span)
        finally:
            self.links.cut(ports, act.way, False)

    def _ports(self, target: str) -> list[int]:
        one, _, _ = target.partition("|")
        if not one.startswith("kafka"):
            return [self.links.ports[pair] for pair in self.links.pairs(target)]
        # What the other brokers call of it.
        node = one.partition("-")[2] or "1"
        properties = (self.stack.home / "kafka" / node / "server.properties").read_text()
        (line,) = [x for x in properties.splitlines() if x.startswith("listeners=")]
        ports = {x.partition("://")[0]: int(x.rpartition(":")[2]) for x in line[10:].split(",")}
        return [ports["PLAINTEXT"], ports["CONTROLLER"]]

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
