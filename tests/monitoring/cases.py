"""When each alert fires, and what is like it and must not let it fire. One sample a minute."""

import dataclasses

SUB = 'org="acme",subscription="orders",topic="orders"'
LEAD = f'{{{SUB},job="event-manager",instance="em-1"}}'
OTHER_LEAD = f'{{{SUB},job="event-manager",instance="em-2"}}'
OF_SUB = {"org": "acme", "subscription": "orders", "topic": "orders"}
FM = 'job="function-manager",instance="fm-1"'
OF_FM = {"job": "function-manager", "instance": "fm-1"}
GW = 'job="api-gateway",instance="gw-1"'
OF_GW = {"job": "api-gateway", "instance": "gw-1"}
SERVICES = ("identity", "event-manager", "function-manager", "api-gateway")


@dataclasses.dataclass(frozen=True)
class Case:
    alert: str
    what: str
    fires: dict[str, str]  # series -> values in promtool's notation
    labels: dict[str, str]  # that the alert has then, beside its name
    quiet: dict[str, str]
    severity: str = "warning"
    at: int = 20  # minutes


def severity_of(value: int) -> dict[str, str]:
    return {f"dispatch_subscription_verdict_severity{LEAD}": f"{value}x30"}


def verdict(alert: str, value: int, severity: str, at: int) -> Case:
    """Of the verdict alone; busy (2) and paused (1) are none of them."""
    other = {f'dispatch_subscription_verdict_severity{{{SUB},instance="em-2"}}': "1x30"}
    return Case(alert, f"verdict {value}", severity_of(value), OF_SUB, severity_of(2) | other, severity, at)


def grows(alert: str, metric: str, labels: str, told: dict[str, str], severity="warning") -> Case:
    """Fires when it went up within the quarter of an hour, not for what was long ago."""
    return Case(
        alert, "goes up", {f"{metric}{{{labels}}}": "0x10 3x20"}, told,
        {f"{metric}{{{labels}}}": "3x30"}, severity, at=12,
    )  # fmt: skip


def running(*services: str) -> dict[str, str]:
    return {f'dispatch_build_info{{service="{s}",version="1",instance="{s}-1"}}': "1x40" for s in services}


SILENT = "dispatch_state_heard_seconds"
CASES = [
    grows("DispatchEventsLost", "dispatch_subscription_lost_total", LEAD.strip("{}"), OF_SUB, "critical"),
    # Another instance tells the figures from now on, as they were.
    Case("DispatchEventsLost", "verdict LOSING, and a change of who tells", severity_of(7), OF_SUB,
         {f"dispatch_subscription_lost_total{LEAD}": "6x10 stale",
          f"dispatch_subscription_lost_total{OTHER_LEAD}": "_x10 6x20"}, "critical"),
    grows("DispatchInvocationsLost", "dispatch_invocations_lost_total", FM, OF_FM, "critical"),
    verdict("DispatchRetentionRisk", 5, "critical", 2),
    Case("DispatchConservationBroken", "one too few",
         {f"dispatch_subscription_conservation_error{LEAD}": "0x5 -1x20"}, OF_SUB,
         {f"dispatch_subscription_conservation_error{LEAD}": "0x5 -1 0x20"}, "critical", at=8),
    verdict("DispatchSubscriptionStopped", 6, "critical", 2),
    verdict("DispatchSubscriptionStalled", 4, "warning", 11),
    verdict("DispatchSubscriptionSlow", 3, "warning", 16),
    Case("DispatchOldestUndelivered", "two hours; not when paused",
         {f"dispatch_subscription_oldest_undelivered_seconds{LEAD}": "7200x30", **severity_of(2)}, OF_SUB,
         {f"dispatch_subscription_oldest_undelivered_seconds{LEAD}": "7200x30", **severity_of(1)}),
    Case("DispatchCircuitOpen", "open, not half open",
         {'dispatch_subscription_circuit{org="acme",subscription="orders",instance="fm-1"}': "1x30"},
         {"org": "acme", "subscription": "orders"},
         {'dispatch_subscription_circuit{org="acme",subscription="orders",instance="fm-1"}': "2x30"}),
    grows("DispatchDeadLetters", "dispatch_subscription_dead_lettered_total", LEAD.strip("{}"), OF_SUB),
    grows("DispatchDeadLettersExpired", "dispatch_dead_letters_expired_total", FM, {}),
    Case("DispatchRetriesPileUp", "a hundred thousand and one, told by two",
         {f'dispatch_subscription_pending{{{SUB},state="retrying",instance="em-1"}}': "100001x30"}, {},
         {f'dispatch_subscription_pending{{{SUB},state="retrying",instance="em-1"}}': "60000x30",
          f'dispatch_subscription_pending{{{SUB},state="retrying",instance="em-2"}}': "60000x30"}),
    grows("DispatchFilterErrors", "dispatch_subscription_filter_errors_total", LEAD.strip("{}"), OF_SUB),
    Case("DispatchPublishingRefused", "again and again",
         {f"dispatch_gateway_events_refused_total{{{GW}}}": "0+5x30"}, OF_GW,
         {f"dispatch_gateway_events_refused_total{{{GW}}}": "7x30"}, "critical"),
    Case("DispatchGatewayErrors", "a tenth of the answers",
         {f'dispatch_gateway_requests_total{{{GW},route="/v1/lag",status="200"}}': "0+90x30",
          f'dispatch_gateway_requests_total{{{GW},route="/v1/lag",status="503"}}': "0+10x30"}, OF_GW,
         {f'dispatch_gateway_requests_total{{{GW},route="/v1/lag",status="200"}}': "0+97x30",
          f'dispatch_gateway_requests_total{{{GW},route="/v1/lag",status="503"}}': "0+3x30"}),
    Case("DispatchPublishingSlow", "2.5 s",
         {f'dispatch_gateway_publish_seconds_bucket{{{GW},le="1"}}': "0+1x30",
          f'dispatch_gateway_publish_seconds_bucket{{{GW},le="2.5"}}': "0+100x30",
          f'dispatch_gateway_publish_seconds_bucket{{{GW},le="+Inf"}}': "0+100x30"}, {},
         {f'dispatch_gateway_publish_seconds_bucket{{{GW},le="1"}}': "0+100x30",
          f'dispatch_gateway_publish_seconds_bucket{{{GW},le="2.5"}}': "0+100x30",
          f'dispatch_gateway_publish_seconds_bucket{{{GW},le="+Inf"}}': "0+100x30"}),
    *[Case("DispatchServiceDown", f"no {gone}", running(*[s for s in SERVICES if s != gone]),
           {"service": gone}, running(*SERVICES), "critical", at=3) for gone in SERVICES],
    Case("DispatchInstanceDown", "not of other jobs", {f"up{{{FM}}}": "1x5 0x20"}, OF_FM,
         {'up{job="node",instance="n-1"}': "0x30", f"up{{{GW}}}": "1x30"}, at=10),
    Case("DispatchNotReady", "longer than a start", {f"dispatch_ready{{{FM}}}": "0x30"}, OF_FM,
         {f"dispatch_ready{{{FM}}}": "1x12 0x3 1x20"}, at=16),
    Case("DispatchServiceSilent", "after five minutes",
         {f'{SILENT}{{service="identity",{GW}}}': "0+60x5 300x20"}, {"service": "identity"},
         {f'{SILENT}{{service="identity",{GW}}}': "0+60x30",
          f'{SILENT}{{service="identity",{FM}}}': "0+60x5 300x20"}, "critical", at=8),
    Case("DispatchRestarts", "three times",
         {f"process_start_time_seconds{{{FM}}}": "1x5 2x3 3x3 4x20"}, OF_FM,
         {f"process_start_time_seconds{{{FM}}}": "1x5 2x30"}, at=14),
    Case("DispatchVersionsDiffer", "for half an hour",
         running("identity") | {'dispatch_build_info{service="identity",version="2",instance="i-2"}': "1x40"}, {},
         running("identity") | {'dispatch_build_info{service="identity",version="2",instance="i-2"}': "_x20 1x20"},
         at=35),
    Case("DispatchFilesRunOut", "nine of ten",
         {f"process_open_fds{{{GW}}}": "900x30", f"process_max_fds{{{GW}}}": "1000x30"}, OF_GW,
         {f"process_open_fds{{{GW}}}": "700x30", f"process_max_fds{{{GW}}}": "1000x30"}),
    Case("DispatchCertificateExpires", "in ten days; the renewed one not",
         {f'dispatch_http_server_certificate_end_seconds{{file="/tls/tls.crt",{GW}}}': "864000x30"},
         {"file": "/tls/tls.crt", "job": "api-gateway"},
         {f'dispatch_http_server_certificate_end_seconds{{file="/tls/tls.crt",{GW}}}': "864000x5 7776000x30"}),
    Case("DispatchMetricsIncomplete", "one",
         {"dispatch_subscription_metrics_left_out{job=\"event-manager\"}": "1x30"}, {},
         {"dispatch_subscription_metrics_left_out{job=\"event-manager\"}": "0x30"}),
    # PostgreSQL is away: nobody writes, and Kafka is well.
    Case("DispatchKafkaUnreachable", "not when only the others are silent",
         {f'{SILENT}{{service="identity",{GW}}}': "0+60x5 300x20",
          f"dispatch_kafka_errors_total{{{GW}}}": "0x5 1+1x20"}, OF_GW,
         {f'{SILENT}{{service="identity",{GW}}}': "0+60x5 300x20",
          f"dispatch_kafka_errors_total{{{GW}}}": "4x30"}, "critical", at=8),
    Case("DispatchKafkaErrors", "one each second; not a restart of a broker",
         {f"dispatch_kafka_errors_total{{{GW}}}": "0+60x30"}, OF_GW,
         {f"dispatch_kafka_errors_total{{{GW}}}": "0x5 74x30"}),
    Case("DispatchMembersMissing", "not of others' groups",
         {'kafka_consumergroup_members{consumergroup="dispatch.function-manager"}': "0x30"},
         {"consumergroup": "dispatch.function-manager"},
         {'kafka_consumergroup_members{consumergroup="billing"}': "0x30",
          'kafka_consumergroup_members{consumergroup="dispatch.event-manager"}': "1x30"}, "critical"),
    Case("DispatchPostgresUnavailable", "more each minute", {f"dispatch_pg_unavailable_total{{{FM}}}": "0x5 1+3x20"},
         OF_FM, {f"dispatch_pg_unavailable_total{{{FM}}}": "9x30"}, "critical", at=10),
    Case("DispatchPostgresSlow", "2.5 s",
         {f'dispatch_pg_transaction_seconds_bucket{{{FM},le="1"}}': "0+1x30",
          f'dispatch_pg_transaction_seconds_bucket{{{FM},le="2.5"}}': "0+100x30",
          f'dispatch_pg_transaction_seconds_bucket{{{FM},le="+Inf"}}': "0+100x30"}, {"job": "function-manager"},
         {f'dispatch_pg_transaction_seconds_bucket{{{FM},le="1"}}': "0+100x30",
          f'dispatch_pg_transaction_seconds_bucket{{{FM},le="2.5"}}': "0+100x30",
          f'dispatch_pg_transaction_seconds_bucket{{{FM},le="+Inf"}}': "0+100x30"}),
    Case("DispatchPostgresQueue", "for long", {f"dispatch_pg_queue{{{FM}}}": "200x30"}, OF_FM,
         {f"dispatch_pg_queue{{{FM}}}": "0x17 200x3 0x10"}),
    Case("DispatchRecordsRejected", "told with its side",
         {f'dispatch_rpc_rejected_total{{side="server",{FM}}}': "0x10 1x20"}, {"side": "server", **OF_FM},
         {f'dispatch_rpc_rejected_total{{side="server",{FM}}}': "1x30"}, at=12),
    grows("DispatchUnparsableInvocations", "dispatch_invocations_unparsable_total", FM, OF_FM),
]  # fmt: skip


def promtool_test(case: Case, rules: str) -> dict:
    labels = {"alertname": case.alert, "alertstate": "firing", "severity": case.severity, **case.labels}
    told = "ALERTS{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"

    def look(series: dict[str, str], expected: list) -> dict:
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'ALERTS{{alertname="{case.alert}",alertstate="firing"}}',
                    "eval_time": f"{case.at}m",
                    "exp_samples": expected,
                }
            ],
        }

    return {
        "rule_files": [rules],
        "evaluation_interval": "1m",
        "tests": [look(case.fires, [{"labels": told, "value": 1}]), look(case.quiet, [])],
    }
