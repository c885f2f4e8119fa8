"""The independent checker. It believes two things: what Kafka's event topics hold, and what
subscribers and the dead-letter list show. The product's statistics are compared with them. Only that
an attempt was given up before its answer came nobody but the product can know: see given_up."""

import bisect
import dataclasses
import time
from collections import Counter, defaultdict

from lib import kafka
from lib.client import adds_up, total_pending
from load import Load
from scenario import SHARES, TIMEOUT_MS, Subscription, payload

QUARANTINED = "quarantined"


@dataclasses.dataclass
class Verdict:
    """Of one subscription."""

    label: str
    matched: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    pending: int = 0
    lost: int = 0
    duplicated: int = 0
    unmatched: int = 0
    attempts: int = 0
    too_late: int = 0  # repeats of what was answered after the subscription's timeout
    repeated_examples: list = dataclasses.field(default_factory=list)
    lost_examples: list = dataclasses.field(default_factory=list)
    faults: list = dataclasses.field(default_factory=list)  # (check, text)


@dataclasses.dataclass
class Truth:
    """One event topic: id -> type, first position and partition key; and what is there again."""

    types: dict
    positions: dict
    repeated: list  # (id, monotonic time)
    keys: dict = dataclasses.field(default_factory=dict)
    again: dict = dataclasses.field(default_factory=dict)  # id -> its later positions

    def copies(self, event_id: str) -> int:
        return 1 + len(self.again.get(event_id, ()))


def read_truth(brokers: str, org: str, topic: str) -> Truth:
    truth = Truth({}, {}, [])
    clock = time.time() - time.monotonic()
    for record in kafka.read_all(brokers, f"{org}.{topic}", bound=60):
        headers = kafka.headers_of(record)
        event_id = headers["ce_id"].decode()
        if event_id in truth.types:
            truth.repeated.append((event_id, record.timestamp()[1] / 1000 - clock))
            truth.again.setdefault(event_id, []).append((record.partition(), record.offset()))
            continue
        truth.types[event_id] = headers["ce_type"].decode()
        truth.positions[event_id] = (record.partition(), record.offset())
        if record.key():
            truth.keys[event_id] = record.key()
    return truth


def read_all_truth(brokers: str) -> dict[tuple, Truth]:
    return {place: read_truth(brokers, *place) for place in SHARES}


def check_accepted(load: Load, truths: dict[tuple, Truth]) -> list[str]:
    """Every 202 is in Kafka where the answer said."""
    faults = []
    for place, accepted in load.accepted.items():
        truth = truths[place]
        for event_id, position in accepted.items():
            found = [truth.positions.get(event_id), *truth.again.get(event_id, ())]
            if position not in found:
                faults.append(f"{event_id} answered at {position}, found at {found}")
    return faults


def statistics_of(clients: dict) -> dict[str, dict]:
    """label -> statistics of all subscriptions, by an admin of each organisation; {} when they are not told."""
    found = {}
    for org, client in clients.items():
        answer = client.get("/v1/lag")
        if answer.status_code != 200:
            return {}
        found.update({f"{org}/{s['name']}": s for s in answer.json()["subscriptions"]})
    return found


def busy(subscriptions: list[Subscription], statistics: dict[str, dict]) -> list[Subscription]:
    """Those that have something left to do, or that the statistics do not know."""
    return [
        s
        for s in subscriptions
        if s.label not in statistics
        or total_pending(statistics[s.label]) != 0
        or statistics[s.label]["unread"] != 0
    ]


def dead_letters_of(subscription: Subscription) -> list[dict]:
    found, path = [], f"/v1/event/subscriptions/{subscription.name}/dead-letters?limit=1000"
    while path:
        answer = subscription.client.get(path, expect=200)
        found += answer.json()
        path = answer.links["next"]["url"] if "next" in answer.links else None
    return found


def examine(
    subscription: Subscription,
    truth: Truth,
    statistics: dict | None,
    explain=lambda a, b: True,
    started: float = 0.0,
    too_late=lambda event_id, attempt: False,
) -> Verdict:
    """explain(first, second): the fault that is behind a repeat of what was delivered at the first
    time and again at the second, or None. too_late(event, attempt): that attempt was given up before
    its answer came. started: when the faults began."""
    verdict = Verdict(subscription.label)

    def fault(check: str, text: str) -> None:
        verdict.faults.append((check, f"{subscription.label}: {text}"))

    wanted = {event_id for event_id, type in truth.types.items() if subscription.wants(type)}
    verdict.matched = sum(map(truth.copies, wanted))

    requests = subscription.endpoint.requests
    verdict.attempts = len(requests)
    delivered = defaultdict(list)  # (event, delivery id) -> (when, number of the attempt)
    delivery_ids = defaultdict(set)
    for request, status in zip(requests, subscription.endpoint.statuses):
        delivery_ids[request.event_id].add(request.delivery_id)
        if request.event_id not in wanted:
            verdict.unmatched += 1
            fault(
                "unmatched", f"{request.event_id} ({request.headers.get('ce-type')}) is not for it"
            )
        elif request.body != payload(request.event_id):
            fault("bytes", f"{request.event_id} arrived with other bytes")
        if 200 <= status < 300 and request.event_id in wanted:
            attempt = int(request.headers.get("dispatch-attempt", 0))
            delivered[request.event_id, request.delivery_id].append((request.time, attempt))
    ends = Counter(event_id for event_id, _ in delivered)
    ends = {event_id: min(ends[event_id], truth.copies(event_id)) for event_id in ends}
    verdict.delivered = sum(ends.values())
    for (event_id, _), times in delivered.items():
        verdict.duplicated += len(times) - 1
        for (first, attempt), (second, _) in zip(times, times[1:]):
            if explain(first, second):
                continue
            if too_late(event_id, attempt):
                verdict.too_late += 1
                continue
            came = f"at {first - started:.1f} s and at {second - started:.1f} s"
            fault("repeats", f"{event_id} at {truth.positions[event_id]} came {came}")
            verdict.repeated_examples.append(event_id)
    if subscription.fields.get("ordering") == "key":
        check_order(requests, truth, fault)
    for event_id, ids in delivery_ids.items():
        if event_id in wanted and (len(ids) > truth.copies(event_id) or None in ids):
            fault(
                "delivery id",
                f"{event_id} came under {len(ids)} delivery ids: {sorted(map(str, ids))}",
            )
    if len(set.union(set(), *delivery_ids.values())) != sum(map(len, delivery_ids.values())):
        fault("delivery id", "two events came under one delivery id")

    letters = dead_letters_of(subscription)
    dead = Counter(letter["eventId"] for letter in letters)
    verdict.dead_lettered = sum(dead.values())
    for event_id in set(dead) - wanted:
        fault("unmatched", f"dead letter {event_id} is not for it")
    both = 0
    for letter in letters:
        event_id, reason = letter["eventId"], letter.get("reason")
        if dead[event_id] > truth.copies(event_id):
            fault("dead letters", f"{event_id} is listed {dead[event_id]} times")
        if dead[event_id] + ends.get(event_id, 0) > truth.copies(event_id):
            both += 1
            # Whoever delivered it was killed before it could say so, three times in a row.
            if reason != QUARANTINED:
                fault("dead letters", f"{event_id} was delivered and is a dead letter: {reason}")

    for event_id in wanted:
        missing = truth.copies(event_id) - ends.get(event_id, 0) - dead[event_id]
        if missing > 0:
            verdict.lost += missing
            verdict.lost_examples.append((event_id, truth.positions[event_id]))
    verdict.lost_examples = sorted(verdict.lost_examples)[:5]
    if verdict.lost:
        fault("lost", f"{verdict.lost} lost, as {verdict.lost_examples}")
    check_statistics(verdict, both, statistics, fault)
    return verdict


def given_up(subscription: Subscription, truth: Truth, event_id: str, attempt: int) -> bool:
    """The product has on record that it waited for the attempt's answer for as long as the
    subscription says, and got none: an endpoint under load may be later than that."""
    for delivery in deliveries_of(subscription, truth, event_id).json()["deliveries"]:
        if delivery["subscription"] != subscription.name:
            continue
        for told in delivery["attempts"]:
            if told["attempt"] == attempt and told["outcome"] == "retry" and told["status"] == 0:
                return told["latencyMs"] >= TIMEOUT_MS
    return False


def deliveries_of(subscription: Subscription, truth: Truth, event_id: str):
    partition, offset = truth.positions[event_id]
    return subscription.client.get(
        f"/v1/topics/{subscription.topic}/events/{partition}/{offset}/deliveries", expect=200
    )


def trail(subscription: Subscription, truth: Truth, event_id: str) -> str:
    """What the endpoint saw of an event, and what the product says became of it."""
    endpoint = subscription.endpoint
    seen = [
        f"+{request.time:.2f} {request.headers.get('dispatch-attempt')}:{status}"
        for request, status in zip(endpoint.requests, endpoint.statuses)
        if request.event_id == event_id
    ]
    told = deliveries_of(subscription, truth, event_id)
    return f"{event_id}: seen {seen}; told {told.text}"


def check_order(requests: list, truth: Truth, fault) -> None:
    """The first attempts of a key follow the log."""
    seen = set()
    last: dict = {}
    for request in requests:
        key = truth.keys.get(request.event_id)
        if key is None or request.event_id in seen:
            continue
        seen.add(request.event_id)
        position = truth.positions[request.event_id]
        if position < last.get(key, position):
            fault("order", f"{request.event_id} of {key!r} at {position} came after {last[key]}")
        last[key] = max(position, last.get(key, position))


def check_statistics(verdict: Verdict, both: int, statistics: dict | None, fault) -> None:
    """both: deliveries that were delivered and are dead letters."""
    if statistics is None:
        fault("statistics", "there are none")
        return
    verdict.pending = total_pending(statistics)
    if not adds_up(statistics):
        fault("conservation", f"matched is not the sum of its ends: {statistics}")
    expected = {
        "matched": verdict.matched,
        "delivered": verdict.delivered,
        "deadLettered": verdict.dead_lettered,
        "cancelled": 0,
        "unread": 0,
        "lost": 0,
    }
    for name, value in expected.items():
        least = value - both if name in ("delivered", "deadLettered") else value
        if not least <= statistics[name] <= value:
            fault("statistics", f"{name} is {statistics[name]}, true is {value}")


def silences(
    subscriptions: list[Subscription], start: float, end: float, least: float
) -> list[tuple]:
    """Times in which no subscriber at all was called, as (seconds from start, length), longest
    first; `least` seconds and more, and the longest in any case."""
    times = sorted(
        request.time
        for subscription in subscriptions
        for request in subscription.endpoint.requests
        if start <= request.time <= end
    )
    gaps = sorted(
        ((a - start, b - a) for a, b in zip([start, *times], [*times, end])),
        key=lambda gap: -gap[1],
    )
    return [gap for gap in gaps if gap[1] >= least] or gaps[:1]


def attribute(subscriptions: list[Subscription], explain) -> None:
    """Notes with each cause which repeats it explains."""
    for subscription in subscriptions:
        times = defaultdict(list)
        endpoint = subscription.endpoint
        for request, status in zip(endpoint.requests, endpoint.statuses):
            if 200 <= status < 300:
                times[request.delivery_id].append(request.time)
        for each in times.values():
            for first, second in zip(each, each[1:]):
                cause = explain(first, second)
                if cause is not None:
                    cause.note(first, second)


def recoveries(causes: list, load: Load, subscription: Subscription, truth: Truth) -> list[tuple]:
    """For each fault: how long after its end an event that was accepted then was delivered from each
    partition, as (cause, seconds), None for never. It is counted from the end of the last fault that
    came before it was over, if that disturbs what is accepted and delivered; one that still goes on
    excuses everything, but members that come and go excuse nothing."""
    delivered: dict[str, float] = {}
    for request, status in zip(subscription.endpoint.requests, subscription.endpoint.statuses):
        if 200 <= status < 300:
            delivered.setdefault(request.event_id, request.time)
    place = (subscription.org, subscription.topic)
    by_partition = defaultdict(list)  # partition -> [(accepted at, delivered at)]
    for event_id in load.accepted[place]:
        if event_id in delivered and event_id in truth.positions:
            at = load.accepted_at[event_id]
            by_partition[truth.positions[event_id][0]].append((at, delivered[event_id]))
    for flow in by_partition.values():
        flow.sort()
    found = []
    for cause in causes:
        firsts = []
        for flow in by_partition.values():
            i = bisect.bisect_left(flow, (cause.end, 0.0))
            firsts.append(min((end for _, end in flow[i : i + 500]), default=None))
        if None in firsts or not firsts:
            # The load had ended: whether all came is for the other checks.
            found.append((cause, None))
            continue
        over = max(firsts)
        disturbing = [c for c in causes if c is cause or c.disturbs]
        ends = [c.end for c in disturbing if c.start < over and c.end < over]
        going_on = any(c.start < over <= c.end for c in disturbing)
        found.append((cause, 0.0 if going_on else over - max(ends)))
    return found
