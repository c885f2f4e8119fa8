"""Traces of what Dispatch does with an event, exported by OTLP to a strict stand-in of a collector (lib/collector.py)."""

import secrets

import pytest
from lib.collector import Collector
from lib.http_function import answer_of, make_function
from lib.own_service import OwnService
from lib.receiver import Answer
from lib.stack import SERVICES
from lib.wait import eventually
from test_functions import FUNCTION, archive, python, ready  # noqa: F401

pytestmark = pytest.mark.disruptive  # all services run with other settings meanwhile

QUICK = {"maxAttempts": 3, "minBackoff": "100ms", "jitter": 0}


@pytest.fixture(scope="module")
def collector():
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="module")
def services(stack, collector):
    headers = stack.home / "otlp-headers"
    headers.touch(mode=0o600)
    headers.write_text("X-Collector-Key: k1\n")
    settings = {"DISPATCH_OTLP_ENDPOINT": collector.url, "DISPATCH_OTLP_HEADERS_FILE": str(headers)}
    running = {service: OwnService(stack, service, **settings) for service in SERVICES}
    yield running
    for service in running.values():
        service.stop()


@pytest.fixture(autouse=True)
def nothing_wrong(services, collector):
    collector.script()
    yield
    assert not collector.faults, collector.faults
    assert all(request.headers.get("x-collector-key") == "k1" for request in collector.requests)


class Trace:
    """A publisher's own span, that the others are to hang below."""

    def __init__(self, collector, flags="01"):
        self.collector = collector
        self.id, self.span = secrets.token_hex(16), secrets.token_hex(8)
        self.header = f"00-{self.id}-{self.span}-{flags}"

    def publish(self, org, topic, **attributes) -> dict:
        fields = {"ce-specversion": "1.0", "ce-id": secrets.token_hex(4), "ce-source": "/shop", "ce-type": "order"}
        fields |= {f"ce-{name}": value for name, value in attributes.items()}
        answer = org.request("POST", f"/v1/topics/{topic}/events", headers=fields | {"traceparent": self.header},
                             expect=202)  # fmt: skip
        return answer.json()["results"][0] | {"type": fields["ce-type"]}

    def spans(self, count: int, bound: float = 20) -> list:
        """All spans, of which there must be so many, each with a parent among them or the publisher's."""

        def come():
            found = self.collector.trace(self.id)
            assert len(found) >= count, found
            return found

        found = eventually(come, f"{count} spans come", bound)
        ids = {span.id for span in found}
        assert len(found) == count == len(ids), found
        assert {span.parent for span in found} <= ids | {self.span}, found
        return found


def only(spans, **wanted):
    (found,) = [s for s in spans if all(getattr(s, key) == value for key, value in wanted.items())]
    return found


@pytest.fixture
def topic(org, name) -> str:
    """One that nobody else subscribes to: a span more is a fault here."""
    called = name("traced")
    org.create_topic(called)
    return called


def test_an_event_is_one_tree_from_its_publisher_to_each_attempt(org, topic, receiver, subscribe, collector):
    good, failing = receiver.endpoint(), receiver.endpoint().script(Answer(503))
    first, second = subscribe(good.url), subscribe(failing.url, retry=QUICK)
    trace = Trace(collector)
    position = trace.publish(org, topic)
    org.settled(second, matched=1)
    spans = trace.spans(6)

    server = only(spans, kind="SERVER")
    assert (server.service, server.name) == ("api-gateway", "POST /v1/topics/{name}/events")
    assert server.parent == trace.span
    assert server.attributes["http.request.method"] == "POST"
    assert server.attributes["http.route"] == "/v1/topics/{name}/events"
    assert server.attributes["url.path"] == f"/v1/topics/{topic}/events"
    assert server.attributes["http.response.status_code"] == 202
    assert server.attributes["dispatch.org"] == org.org_name

    kafka_topic = f"{org.org_name}.{topic}"
    of_record = {
        "messaging.system": "kafka",
        "messaging.destination.name": kafka_topic,
        "messaging.destination.partition.id": str(position["partition"]),
        "messaging.kafka.offset": position["offset"],
        "cloudevents.event_id": position["id"],
        "cloudevents.event_source": "/shop",
        "cloudevents.event_type": "order",
        "cloudevents.event_spec_version": "1.0",
    }
    publish = only(spans, name=f"{kafka_topic} publish")
    assert (publish.service, publish.kind, publish.parent) == ("api-gateway", "PRODUCER", server.id)
    process = only(spans, name=f"{kafka_topic} process")
    assert (process.service, process.kind, process.parent) == ("event-manager", "CONSUMER", publish.id)
    assert process.attributes["dispatch.matched"] == 2

    attempts = [span for span in spans if span.name.endswith(" deliver")]
    for span in (publish, process, *attempts):
        assert of_record.items() <= span.attributes.items()
    for span in attempts:
        assert (span.service, span.kind, span.parent) == ("function-manager", "CLIENT", process.id)
        assert span.start >= process.start

    to_good = only(attempts, name=f"{org.org_name}.{first} deliver")
    assert to_good.attributes["http.response.status_code"] == 200 and not to_good.failed
    assert to_good.attributes["dispatch.outcome"] == "delivered"
    assert to_good.attributes["dispatch.delivery_id"] == good.requests[0].delivery_id
    failed, delivered = [span for span in attempts if span.name == f"{org.org_name}.{second} deliver"]
    assert failed.attributes["http.response.status_code"] == 503 and failed.failed
    assert failed.attributes["error.type"] == "503" and failed.attributes["dispatch.outcome"] == "retry"
    assert failed.attributes["dispatch.attempt"] == 1 and "http.request.resend_count" not in failed.attributes
    assert delivered.attributes["dispatch.attempt"] == 2 and delivered.attributes["http.request.resend_count"] == 1
    assert not delivered.failed
    assert f"{delivered.attributes['server.address']}:{delivered.attributes['server.port']}" in failing.url

    # What the endpoints were told of as parents are those very spans.
    assert [request["traceparent"] for request in good.requests] == [to_good.traceparent]
    assert [request["traceparent"] for request in failing.requests] == [failed.traceparent, delivered.traceparent]


def test_only_what_is_sampled_is_exported(org, topic, receiver, subscribe, collector):
    hook = receiver.endpoint()
    called = subscribe(hook.url)
    unsampled, sampled = Trace(collector, "00"), Trace(collector)
    unsampled.publish(org, topic)
    org.publish(topic, id="untraced")  # its trace begins here, and the ratio is 0
    sampled.publish(org, topic)
    org.settled(called, matched=3)
    sampled.spans(4)
    before = len(collector.requests)
    assert collector.trace(unsampled.id) == []
    told = {request.event_id: request["traceparent"] for request in hook.requests}
    assert unsampled.header in told.values(), "it goes on as it came"
    assert told["untraced"].endswith("-00")
    assert collector.trace(told["untraced"].split("-")[1]) == []
    assert before > 0


def test_a_run_of_a_function_is_a_span_below_its_attempt(org, topic, subscribe, name, python, collector):
    called = name("fn")
    source = archive({"handler.py": "def handle(ctx, payload):\n    return payload\n"})
    org.post(FUNCTION, {"name": called, "image": python, "source": source}, expect=201)
    assert ready(org, f"{FUNCTION}/{called}")["status"] == "READY"
    subscription = subscribe(function=called, eventType="ordered")
    trace = Trace(collector)
    trace.publish(org, topic, type="ordered")
    org.settled(subscription, matched=1)
    spans = trace.spans(5)
    attempt = only(spans, name=f"{org.org_name}.{subscription} deliver")
    assert attempt.attributes["faas.invoked_name"] == called and "server.address" not in attempt.attributes
    run = only(spans, name=f"{org.org_name}.{called} run")
    assert (run.service, run.kind, run.parent) == ("function-manager", "INTERNAL", attempt.id)
    assert run.attributes["faas.name"] == called and not run.failed
    shown = org.get(f"/v1/runs?functionName={called}", expect=200).json()
    assert run.attributes["faas.invocation_id"] in [r["name"] for r in shown]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_request_for_a_run_is_one_tree(org, receiver, name, collector, blocking):
    called = name("fn")
    error = {"type": "FunctionError", "message": "words of the data", "stacktrace": []}
    endpoint = make_function(org, receiver, called, lambda context, payload: answer_of(error=error))
    trace = Trace(collector)
    answer = org.post(f"/v1/runs?functionName={called}", {"blocking": blocking, "input": 1},
                      headers={"traceparent": trace.header})  # fmt: skip
    assert answer.status_code in (200, 202), answer.text
    spans = trace.spans(3)
    server = only(spans, service="api-gateway")
    request = only(spans, name="function-manager/run.create")
    run = only(spans, name=f"{org.org_name}.{called} run")
    assert (server.parent, request.parent, run.parent) == (trace.span, server.id, request.id)
    assert run.failed and run.attributes["error.type"] == run.message == "FunctionError"
    assert error["message"] not in str(run.attributes)
    assert endpoint.requests[0]["traceparent"] == run.traceparent


def test_a_run_again_is_in_the_trace_of_who_asks_for_it(org, receiver, name, collector):
    called = name("fn")
    endpoint = make_function(org, receiver, called, lambda context, payload: payload)
    first, again, untraced = Trace(collector), Trace(collector), Trace(collector, "00")
    run = org.post(f"/v1/runs?functionName={called}", {"blocking": True, "input": 1},
                   headers={"traceparent": first.header}, expect=200).json()["name"]  # fmt: skip
    first.spans(3)
    for trace in (again, untraced):
        org.post(f"/v1/runs/{run}/rerun", headers={"traceparent": trace.header}, expect=202)
    spans = again.spans(4)  # one is of the question whether who asks may
    request, ran = only(spans, name="function-manager/run.rerun"), only(spans, name=f"{org.org_name}.{called} run")
    assert ran.parent == request.id and ran.attributes["faas.invocation_id"] != run
    eventually(lambda: len(endpoint) == 3, "both ran")
    assert collector.trace(untraced.id) == [] and len(collector.trace(first.id)) == 3


def test_a_change_at_identity_is_a_span_there(org, name, collector):
    trace = Trace(collector)
    org.post("/v1/iam/keys", {"name": name("key"), "scopes": ["read"]}, headers={"traceparent": trace.header}, expect=201)
    server, change = trace.spans(2)
    assert (server.service, server.name, server.parent) == ("api-gateway", "POST /v1/iam/keys", trace.span)
    assert (change.service, change.kind, change.parent) == ("identity", "SERVER", server.id)
    assert change.attributes["rpc.method"] == "apikey.create" and change.attributes["rpc.service"] == "identity"


def test_who_shows_no_key_gets_no_span(stack, org, topic, collector):
    refused, taken = Trace(collector), Trace(collector)
    answer = org.with_key(None).get("/v1/topics", headers={"traceparent": refused.header})
    assert answer.status_code == 401
    org.get("/v1/topics", headers={"traceparent": taken.header}, expect=200)
    taken.spans(1)
    assert collector.trace(refused.id) == []


@pytest.mark.parametrize(
    "answers",
    [
        [Answer(503, {"Retry-After": "1"}), Answer(429), Answer(504)] * 3,
        [Answer(reset=True)] * 6,
        [Answer(hang=True)] * 3,
    ],
    ids=["unavailable", "away", "hangs"],
)
def test_a_collector_that_fails_costs_nothing_but_time(stack, org, topic, receiver, subscribe, collector, answers):
    hook = receiver.endpoint()
    called = subscribe(hook.url)
    before = {service: dropped(stack, service) for service in SERVICES}
    collector.script(*answers)
    traces = [Trace(collector) for _ in range(5)]
    for trace in traces:
        trace.publish(org, topic)
    org.settled(called, matched=5)
    assert len(hook) == 5
    eventually(lambda: collector.unused < len(answers), "the collector failed")
    collector.script(*answers[:1])
    collector.receiver.cut_hanging()
    for trace in traces:
        trace.spans(4, bound=60)
    assert {service: dropped(stack, service) for service in SERVICES} == before


def test_what_a_collector_refuses_is_counted_and_not_repeated(stack, org, topic, receiver, subscribe, collector):
    called = subscribe(receiver.endpoint().url)
    gateway = "api-gateway"
    refused, rejected = (dropped(stack, gateway, reason) for reason in ("refused", "rejected"))
    exported = stack.metric(gateway, "dispatch_spans_exported_total")
    lost, partly = Trace(collector), Trace(collector)
    collector.script(*[Answer(400)] * 3)
    lost.publish(org, topic)
    org.settled(called, matched=1)
    eventually(lambda: collector.unused == 0, "each service had its request refused")
    eventually(lambda: dropped(stack, gateway, "refused") == refused + 2, "it is counted")
    body = b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too old"}}'
    collector.script(*[Answer(200, {"Content-Type": "application/json"}, body)] * 3)
    partly.publish(org, topic)
    partly.spans(4)
    eventually(lambda: dropped(stack, gateway, "rejected") == rejected + 1, "it is counted")
    assert stack.metric(gateway, "dispatch_spans_exported_total") == exported + 1
    assert dropped(stack, gateway, "refused") == refused + 2
    assert collector.trace(lost.id) == []


def test_a_stop_sends_what_is_left(stack, org, topic, receiver, subscribe, collector, services):
    called = subscribe(receiver.endpoint().url)
    trace = Trace(collector)
    trace.publish(org, topic)
    org.settled(called, matched=1)
    for service in ("api-gateway", "function-manager"):
        services[service].process.terminate()
    for service in ("api-gateway", "function-manager"):
        assert services[service].process.wait(30) == 0
    trace.spans(4)
    for service in ("function-manager", "api-gateway"):
        services[service].start()


def test_a_collector_that_is_gone_holds_nothing_up(stack, org, topic, receiver, subscribe, collector, services):
    """Last: the collector does not come back."""
    hook = receiver.endpoint()
    called = subscribe(hook.url)
    collector.close()
    Trace(collector).publish(org, topic)
    org.settled(called, matched=1)
    assert len(hook) == 1
    for service in ("api-gateway", "function-manager"):
        services[service].process.terminate()
        assert services[service].process.wait(15) == 0
        assert 'reason="' in stack.log(service) and "spans not exported" in stack.log(service)
    for service in ("function-manager", "api-gateway"):
        services[service].start()


def dropped(stack, service, reason: str | None = None) -> float:
    labels = {} if reason is None else {"reason": reason}
    return stack.metric(service, "dispatch_spans_dropped_total", **labels)
