"""Wrong values: what is set, and what the refusal must say (the place, and what would be right)."""

REFUSALS = [
    (["kafka.replicationFactor=three"], ["/kafka/replicationFactor", "want integer"]),
    (["kafka.brokers=kafka.example"], ["/kafka/brokers", "does not match pattern"]),
    (["kafka.securityProtocol=tls"], ["/kafka/securityProtocol", "one of", "sasl_ssl"]),
    (["kafka.invocationsPartitions=0"], ["/kafka/invocationsPartitions", "minimum"]),
    (["functionManager.replicas=0"], ["/functionManager/replicas", "minimum"]),
    (["eventManager.settings.max-pendig=5"], ["/eventManager/settings", "'max-pendig' not allowed"]),
    (["identity.settings.max-pending=5"], ["/identity/settings", "'max-pending' not allowed"]),
    # The chart sets it: two places for one setting would be one too many.
    (["identity.settings.kafka-brokers=a:1"], ["/identity/settings", "'kafka-brokers' not allowed"]),
    (["functions.sandbox=maybe"], ["/functions/sandbox", "one of", "userns"]),
    (["keys.service.existingSecret="], ["/keys/service/existingSecret", "minLength"]),
    (["postgresql.identity.existingSecret="], ["/postgresql/identity/existingSecret", "minLength"]),
    (["postgresql.identity.existingSecret=Not_A_Name"], ["/postgresql/identity", "pattern"]),
    (["postgresql.sslMode=on"], ["/postgresql/sslMode", "one of", "verify-full"]),
    (["postgresql.identity.password=x"], ["/postgresql/identity", "'password' not allowed"]),
    (["replicas=3"], ["'replicas' not allowed"]),
    (["drainSeconds=20s"], ["/drainSeconds", "want integer"]),
    (["traces.sampleRatio=2"], ["/traces/sampleRatio", "maximum"]),
    (["traces.endpoint=collector:4318"], ["/traces/endpoint", "does not match pattern"]),
    (["serviceMonitor.interval=often"], ["/serviceMonitor/interval", "pattern"]),
    (["keda.enabled=true"], ["keda.prometheusAddress: name the Prometheus"]),
    (
        ["keda.enabled=true", "keda.prometheusAddress=http://p:9090", "kafka.invocationsPartitions=4"],
        ["keda.functionManager.maxReplicas", "at most kafka.invocationsPartitions"],
    ),
    (["networkPolicy.egress.enabled=true"], ["networkPolicy.egress.kafkaTo: name where Kafka is"]),
    (["kafka.sasl.existingSecret="], ["kafka.sasl.existingSecret: name the Secret"]),
    (["dev.enabled=true"], ["dev.enabled", "-f values-dev.yaml"]),
    (
        ["apiGateway.autoscaling.enabled=true", "apiGateway.autoscaling.minReplicas=9"],
        ["apiGateway.autoscaling.minReplicas is more than maxReplicas"],
    ),
]
