"""Which faults there are, and which of them a run meets, when: drawn from a seed."""

import dataclasses
import random

from lib.stack import DATABASES, SERVICES

KILL, TERM, STORM, LEADERS = "kill", "term", "storm", "leaders"
PG_FAST, PG_IMMEDIATE = "postgres-fast", "postgres-immediate"
PARTITION, ONE_WAY = "partition", "partition-one-way"
LINK_KINDS = ("delay", "stall", "reset", "truncate", "garbage")
DISK = "disk-full"
MANAGERS = ("event-manager", "function-manager")
STORM_LONGEST = 180.0
BROKER_REST = 6.0  # seconds more until the next fault: a broker takes as long to come back
FIRST = 1.0  # second, which belongs to the load alone


@dataclasses.dataclass(frozen=True)
class Act:
    at: float  # seconds from the start of the load
    kind: str
    target: str
    span: float = 0.0  # seconds, of what lasts
    way: str = "both"

    def __str__(self) -> str:
        way = "" if self.way == "both" else f" ({self.way})"
        lasting = f" for {self.span:g} s" if self.span else ""
        return f"{self.kind} {self.target}{way}{lasting}"


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    about: str
    lane: str  # faults of one lane come one after another, those of several beside each other
    targets: tuple
    span: tuple  # seconds, from and to
    rest: float  # seconds before the next of its lane
    least: float = 0.0  # seconds a run must last to draw it unasked


class World:
    """What this run may do harm to."""

    def __init__(self, seconds: float, nodes: list[str], link_targets: list[str], own_network: bool):
        several = len(nodes) > 1
        lasting = (2.0, 4.0) if seconds < 120 else (5.0, 12.0)
        storm = min(STORM_LONGEST, seconds / 4)
        parts = (*SERVICES, *nodes, "postgres")
        self.nodes = nodes
        self.kinds = [
            Kind(KILL, "SIGKILL, and it is started again at once", "parts", parts, (0, 0), 3),
            Kind(TERM, "SIGTERM of a service, and it is started again", "parts", SERVICES, (0, 0), 3),
            Kind("freeze-5", "SIGSTOP for 5 s", "parts", parts, (5, 5), 3),
            Kind("freeze-20", "SIGSTOP for longer than a session", "parts", parts, (20, 20), 5, 120),
            Kind("freeze-90", "SIGSTOP for 90 s", "parts", parts, (90, 90), 10, 600),
            Kind(PG_FAST, "a fast shutdown (SIGINT)", "parts", ("postgres",), (0, 0), 3),
            Kind(PG_IMMEDIATE, "an immediate one (SIGQUIT)", "parts", ("postgres",), (0, 0), 3),
        ]
        for name, about in zip(
            LINK_KINDS,
            (
                "every byte comes 20 to 300 ms late",
                "connections stay and nothing passes, both ways or one",
                "each connection is reset within 2 s",
                "messages end in their middle",
                "noise between messages",
            ),
        ):
            self.kinds.append(Kind(name, about, "links", tuple(link_targets), lasting, 2))
        apart = [t for t in link_targets if "|kafka-" not in t]
        apart += [f"{service}|all" for service in DATABASES]
        if own_network and several:
            apart += [f"{node}|kafka" for node in nodes]
        for name, about in (
            (PARTITION, "packets between two parts vanish"),
            (ONE_WAY, "packets vanish one way"),
        ):
            self.kinds.append(Kind(name, about, "links", tuple(apart), lasting, 3))
        if several:
            self.kinds += [
                Kind(LEADERS, "a broker restarts in order: its leaders move", "parts", tuple(nodes), (0, 0), 6),
                Kind(STORM, "a member joins and one leaves every 2 s", "storms", MANAGERS, (storm, storm), 5),
            ]
        if own_network:
            disks = (*(nodes if several else ()), "postgres")
            self.kinds.append(
                Kind(DISK, "no space is left for its data", "parts", disks, (6, 10), 8, 120)
            )

    def names(self) -> list[str]:
        return [kind.name for kind in self.kinds]


def plan(seconds: float, seed: int, world: World, wanted: list[str] | None = None) -> list[Act]:
    """In order. Each service and broker is killed at least once; then each kind comes once, then
    all their other targets, short ones first, until the time is full. What does not fit is left out."""
    dice = random.Random(seed)
    kinds = [k for k in world.kinds if (k.name in wanted if wanted else seconds >= k.least)]
    left = {kind.lane: seconds - 2 for kind in kinds}
    drawn: dict[str, list] = {lane: [] for lane in left}

    def draw(kind: Kind, target: str) -> None:
        span = round(dice.uniform(*kind.span), 1)
        rest = kind.rest + (BROKER_REST if target in world.nodes and len(world.nodes) > 1 else 0)
        if drawn[kind.lane] and left[kind.lane] < span + rest:
            return
        left[kind.lane] -= span + rest
        way = "both"
        if kind.name == ONE_WAY or (kind.name == "stall" and dice.random() < 0.5):
            way = dice.choice(("to", "from"))
        drawn[kind.lane].append((kind, target, span, rest, way))

    pairs = [(kind, target) for kind in kinds for target in kind.targets]
    dice.shuffle(pairs)
    first = [(k, t) for k, t in pairs if k.name == KILL]
    # The longest first, or they would find no room.
    for kind in sorted(kinds, key=lambda k: -k.span[1]):
        if kind.name != KILL:
            first.append(next(pair for pair in pairs if pair[0] is kind))
    others = sorted((pair for pair in pairs if pair not in first), key=lambda p: p[0].span[1])
    for kind, target in first + others:
        draw(kind, target)

    acts = []
    for lane, lane_acts in drawn.items():
        dice.shuffle(lane_acts)
        slack = max(0.0, left[lane]) / max(1, len(lane_acts))
        at = FIRST
        for kind, target, span, rest, way in lane_acts:
            acts.append(Act(at + slack * dice.random() * 0.9, kind.name, target, span, way))
            at += slack + span + rest
    return sorted(acts, key=lambda act: act.at)
