"""Everything that two parts say to each other by TCP goes through the proxy, and each pair has a
port of its own: `function-manager|kafka-2`, `identity|postgres`, `function-manager|endpoints`,
`clients|api-gateway`. What brokers say to each other does not: they can be cut off, but not lied to.
"""

import json
import subprocess
import sys
from pathlib import Path

import network
from lib.stack import DATABASES, LOCAL, SERVICES

HERE = Path(__file__).resolve().parent
ENDPOINTS = "function-manager|endpoints"
CLIENTS = "clients|api-gateway"
WAYS = ("to", "from")


def free_ports(count: int) -> list[int]:
    done = subprocess.run(
        [LOCAL / "ports.py", "free", str(count)], check=True, capture_output=True, text=True
    )
    return [int(port) for port in done.stdout.split()]


class Links:
    """Started before the stack, because the stack must be told its ports."""

    def __init__(self, brokers: int, receiver_port: int):
        self.nodes = ["kafka"] if brokers == 1 else [f"kafka-{n + 1}" for n in range(brokers)]
        pairs = [f"{service}|{node}" for service in SERVICES for node in self.nodes]
        upstreams = {
            **{pair: None for pair in pairs},
            "postgres": None,
            "api": None,
        }
        ports = iter(free_ports(2 * len(pairs) + len(DATABASES) + 4))
        for name in upstreams:
            upstreams[name] = next(ports)
        self.pg_port, self.api_port = upstreams.pop("postgres"), upstreams.pop("api")
        upstreams.update({f"{service}|postgres": self.pg_port for service in DATABASES})
        upstreams[ENDPOINTS] = receiver_port
        upstreams[CLIENTS] = self.api_port
        self.upstreams = upstreams
        self.ports = {pair: next(ports) for pair in upstreams}
        self._cut: dict[tuple[int, str], int] = {}  # (port, way) -> how many faults cut it
        self.process = subprocess.Popen(
            [sys.executable, HERE / "proxy.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tell(open=[[self.ports[pair], upstream] for pair, upstream in upstreams.items()])

    def _tell(self, **order) -> None:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "the proxy is gone"}')
        if "error" in answer:
            raise RuntimeError(f"proxy: {answer['error']}")

    def arguments(self) -> list[str]:
        """Of deploy/local/up."""
        found = ["--pg-port", str(self.pg_port), "--api-port", str(self.api_port)]
        for service in SERVICES:
            pairs = [f"{service}|{node}" for node in self.nodes]
            told = ",".join(f"{self.upstreams[p]}={self.ports[p]}" for p in pairs)
            brokers = ",".join(f"127.0.0.1:{self.ports[p]}" for p in pairs)
            found += ["--listener", f"{service.upper().replace('-', '_')}:{told}"]
            found += ["--set", f"{service}:DISPATCH_KAFKA_BROKERS={brokers}"]
        for service, database in DATABASES.items():
            url = f"postgresql://{database}@127.0.0.1:{self.ports[f'{service}|postgres']}/{database}"
            found += ["--set", f"{service}:DISPATCH_PG_URL={url}"]
        return found

    def through(self, url: str, pair: str) -> str:
        """The URL of what is behind the pair, for those who are to come through it."""
        return url.replace(f":{self.upstreams[pair]}/", f":{self.ports[pair]}/")

    def pairs(self, target: str) -> list[str]:
        """`event-manager|kafka` are all nodes, `event-manager|all` everything it calls."""
        one, _, other = target.partition("|")
        if other == "all":
            return [pair for pair in self.ports if pair.startswith(f"{one}|")]
        if target in self.ports:
            return [target]
        return [f"{one}|{node}" for node in self.nodes]

    def targets(self) -> list[str]:
        """What a fault of links may have as its target."""
        found = [f"{service}|kafka" for service in SERVICES]
        if len(self.nodes) > 1:
            found += [f"{service}|{node}" for service in SERVICES for node in self.nodes]
        return [*found, *(f"{service}|postgres" for service in DATABASES), ENDPOINTS, CLIENTS]

    def harm(self, kind: str, target: str, way: str, seed: int, delay: float) -> None:
        ports = [self.ports[pair] for pair in self.pairs(target)]
        self._tell(fault=kind, ports=ports, way=way, seed=seed, delay=delay)

    def clear(self, target: str) -> None:
        self._tell(clear=[self.ports[pair] for pair in self.pairs(target)])

    def cut(self, ports: list[int], way: str, begin: bool) -> None:
        """Packets vanish on the way."""
        for port in ports:
            for each in WAYS if way == "both" else (way,):
                count = self._cut.get((port, each), 0)
                if count == (0 if begin else 1):
                    network.lose(port, each, begin)
                self._cut[port, each] = count + (1 if begin else -1)

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
