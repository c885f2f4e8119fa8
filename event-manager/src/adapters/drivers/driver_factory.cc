#include "event-manager/src/adapters/drivers/driver_factory.h"

#include "event-manager/src/adapters/drivers/container_driver.h"
#include "event-manager/src/adapters/drivers/kafka_driver.h"
#include "event-manager/src/adapters/drivers/postgres_driver.h"
#include "event-manager/src/adapters/drivers/process_driver.h"
#include "event-manager/src/adapters/drivers/tick_driver.h"

namespace dispatch {

DriverFactory MakeDrivers(EventLoop& loop, broker::Broker& broker, SecretClient& secrets,
                          DriverSettings settings) {
  using Made = Result<std::unique_ptr<RunningDriver>>;
  DriverFactory factory;
  // Its control groups are made, and those of who was killed removed, where there are executables.
  std::shared_ptr<DriverConfinement> confinement;
  if (!settings.drivers_dir.empty()) confinement = std::make_shared<DriverConfinement>(loop);
  std::shared_ptr<DriverContainers> containers;
  if (!settings.engine_socket.empty()) {
    containers =
        std::make_shared<DriverContainers>(loop, settings.engine_socket, settings.registry_file);
    factory.close = [containers](auto done) { containers->Close(std::move(done)); };
  }
  factory.make = [&loop, &broker, confinement, containers, settings = std::move(settings)](
                     DriverHost& host, DriverSetup setup) -> Made {
    switch (setup.kind) {
      case DriverKind::kTicker:
      case DriverKind::kCron:
        return Made(std::make_unique<TickDriver>(host, broker, std::move(setup)));
      case DriverKind::kKafka:
        return Made(std::make_unique<KafkaDriver>(host, loop, broker, settings, std::move(setup)));
      case DriverKind::kPostgres:
        return Made(std::make_unique<PostgresDriver>(host, loop, settings, std::move(setup)));
      case DriverKind::kExecutable:
        return Made(
            std::make_unique<ProcessDriver>(host, loop, settings, confinement, std::move(setup)));
      case DriverKind::kContainer:
        if (containers == nullptr) {
          return NoDriverEngine(json::GetString(setup.claimed.document, "image"));
        }
        return Made(std::make_unique<ContainerDriver>(host, loop, containers, std::move(setup)));
      case DriverKind::kWebhook:
        break;
    }
    return Error{Code::kInternal, "webhooks are served by the gateway"};
  };
  factory.secrets = [&secrets](const std::string& org, const std::vector<std::string>& names,
                               auto done) { secrets.Get(org, names, std::move(done)); };
  return factory;
}

}  // namespace dispatch
