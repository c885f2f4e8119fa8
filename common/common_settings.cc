#include "common/config.h"

namespace dispatch {

std::vector<Config::Setting> CommonSettings(bool with_postgres, std::string_view admin_listen) {
  using Type = Config::Type;
  std::vector<Config::Setting> settings = {
      {.name = "kafka-brokers",
       .default_value = "127.0.0.1:9092",
       .help = "Kafka brokers to start from, separated by commas",
       .unit = "host:port,...",
       .group = "Kafka"},
      {.name = "kafka-security-protocol",
       .default_value = "plaintext",
       .help = "how to talk to Kafka",
       .unit = "plaintext|ssl|sasl_plaintext|sasl_ssl",
       .group = "Kafka",
       .choices = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"}},
      {.name = "kafka-sasl-mechanism",
       .default_value = "SCRAM-SHA-512",
       .help = "how to prove who we are, when the protocol is sasl_*",
       .unit = "PLAIN|SCRAM-SHA-256|SCRAM-SHA-512",
       .group = "Kafka",
       .choices = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}},
      {.name = "kafka-sasl-username", .help = "SASL user", .group = "Kafka"},
      {.name = "kafka-sasl-password", .help = "SASL password", .secret = true, .group = "Kafka"},
      {.name = "kafka-ssl-ca",
       .help = "certificates that may sign Kafka's (PEM); empty: the system's",
       .unit = "file",
       .group = "Kafka"},
      {.name = "kafka-ssl-certificate",
       .help = "our certificate for Kafka (PEM)",
       .unit = "file",
       .group = "Kafka"},
      {.name = "kafka-ssl-key",
       .help = "the key of our certificate (PEM)",
       .unit = "file",
       .group = "Kafka"},
      {.name = "instance-id",
       .help = "names this process among its service's, the same after each restart: it then goes "
               "on at once where it was killed; empty: the others wait for the end of its session",
       .group = "Kafka"},
      {.name = "replication-factor",
       .type = Type::kInt,
       .default_value = "1",
       .help = "copies of each partition of the topics that are created",
       .min = 1,
       .max = 15,
       .group = "Kafka"},
  };
  if (with_postgres) {
    settings.push_back({.name = "pg-url",
                        .help = "the service's own database, postgresql://user@host:port/database",
                        .unit = "url",
                        .secret = true,
                        .required = true,
                        .group = "PostgreSQL"});
    settings.push_back({.name = "pg-connections",
                        .type = Type::kInt,
                        .default_value = "4",
                        .help = "connections, and threads, to PostgreSQL",
                        .min = 1,
                        .max = 64,
                        .group = "PostgreSQL"});
  }
  const std::vector<Config::Setting> process = {
      {.name = "service-key-file",
       .help = "file of the key that all services share, 64 hexadecimal characters, mode 0600",
       .unit = "file",
       .required = true,
       .group = "Process"},
      {.name = "admin-listen",
       .default_value = std::string(admin_listen),
       .help = "where /healthz, /readyz and /metrics answer",
       .unit = "host:port",
       .group = "Process"},
      {.name = "log-format",
       .default_value = "text",
       .help = "form of the log lines",
       .unit = "text|json",
       .group = "Process",
       .choices = {"text", "json"}},
      {.name = "otlp-endpoint",
       .help = "collector that takes traces by OTLP over HTTP (JSON), http://collector:4318; "
               "/v1/traces is added to it; empty: none are exported",
       .unit = "url",
       .group = "Process"},
      {.name = "otlp-headers-file",
       .help = "header fields for the collector, such as its key, `name: value` a line, mode 0600",
       .unit = "file",
       .group = "Process"},
      {.name = "traces-sample-ratio",
       .type = Type::kRatio,
       .default_value = "0",
       .help = "share of the traces that begin at api-gateway to mark as sampled; of others their "
               "own mark holds; only sampled ones are exported",
       .group = "Process"},
      {.name = "drain-timeout",
       .type = Type::kDuration,
       .default_value = "20s",
       .help = "how long a stop may take before what is left is cut off",
       .min = 0,
       .max = 3'600'000'000,
       .group = "Process"},
      {.name = "config", .help = "file of settings", .unit = "file", .group = "Process"},
  };
  settings.insert(settings.end(), process.begin(), process.end());
  return settings;
}

}  // namespace dispatch
