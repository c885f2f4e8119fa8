#pragma once

#include <memory>
#include <string>

#include "broker-adapters/kafka/kafka_broker.h"
#include "common/runtime/service.h"

namespace dispatch::broker {

/// What a service needs before it is made.
struct ServiceBase {
  std::string service_key;
  std::unique_ptr<Broker> broker;
};

/// Starts `service`, reads its key and connects to Kafka, by the settings that all services have.
/// Without a value, `exit_code` is what main returns.
std::unique_ptr<ServiceBase> StartOnKafka(Service& service, const std::string& name, int argc,
                                          const char* const* argv, int* exit_code);

/// main of a service: starts it, makes `Composition(service, broker, service key)`, which begins
/// its work in its constructor, and runs until the stop.
template <typename Composition>
int RunService(Service& service, const std::string& name, int argc, const char* const* argv) {
  int exit_code = 0;
  auto base = StartOnKafka(service, name, argc, argv, &exit_code);
  if (base == nullptr) return exit_code;
  Composition composition(service, std::move(base->broker), std::move(base->service_key));
  return service.Run();
}

}  // namespace dispatch::broker
