#pragma once

#include <memory>
#include <string>

#include "broker-adapters/broker.h"
#include "common/config.h"
#include "common/event_loop.h"

namespace dispatch::broker {

struct KafkaOptions {
  std::string brokers;
  std::string client_id;
  std::string security_protocol = "plaintext";  // plaintext, ssl, sasl_plaintext, sasl_ssl
  std::string sasl_mechanism;                   // SCRAM-SHA-256, SCRAM-SHA-512, PLAIN
  std::string sasl_username;
  std::string sasl_password;
  std::string ssl_ca;
  std::string ssl_certificate;
  std::string ssl_key;
  /// Names this process in its groups, the same after each restart: what takes its place at once
  /// then, instead of after the session of the dead. Empty: a new member each time.
  std::string instance_id;
  /// "auto": classic with an instance_id (KIP-848 keeps the place of a dead member until its
  /// session ends), else KIP-848 where the cluster has it. "consumer" and "classic" force one.
  std::string group_protocol = "auto";

  /// From the kafka-* settings of CommonSettings.
  static KafkaOptions FromConfig(const Config& config, std::string client_id);
};

/// A Broker over librdkafka's C API: each handle's event queue wakes the loop through an eventfd,
/// and is polled at least once a second. The consumer uses the KIP-848 protocol, or the classic
/// cooperative one where the cluster lacks it.
Result<std::unique_ptr<Broker>> ConnectKafka(EventLoop& loop, KafkaOptions options);

}  // namespace dispatch::broker
