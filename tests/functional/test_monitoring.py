"""What the alert rules and the Grafana board ask for is what a running stack exposes."""

import json
import sys

from lib.receiver import Answer
from lib.stack import ROOT, SERVICES
from lib.wait import eventually

sys.path.insert(0, str(ROOT / "tests/monitoring"))

from check import BOARD, alerts, queries_of  # noqa: E402
from queries import PROMETHEUS, names_in  # noqa: E402

# What this stack has no occasion for; that the sources register it is held by the stage monitoring.
SELDOM = {"dispatch_http_server_certificate_end_seconds": "only with TLS (up --secure)"}


def exposed(stack) -> set[str]:
    return {sample.partition("{")[0] for service in SERVICES for sample in stack.metrics(service)}


def test_rules_and_board_ask_for_what_is_exposed(stack, org, topic, receiver, subscribe):
    refusing = receiver.endpoint()
    refusing.default = Answer(503)
    subscribe(refusing.url)
    for _ in range(100):  # many enough for the circuit
        org.publish(topic)
    asked = {name: names_in(rule["expr"]) for rule in alerts() for name in [rule["alert"]]}
    asked |= {where: names_in(query) for where, query in queries_of(json.loads(BOARD.read_text())).items()}
    allowed = PROMETHEUS | set(SELDOM)

    def all_there():
        missing = {where: names - exposed(stack) - allowed for where, names in asked.items()}
        missing = {where: names for where, names in missing.items() if names}
        assert not missing, missing
        return True

    eventually(all_there, "each metric is exposed", 20)
    assert set(SELDOM) <= set().union(*asked.values()), "SELDOM has what nobody asks for"
