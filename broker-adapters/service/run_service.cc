#include "broker-adapters/service/run_service.h"

#include "common/crypto.h"
#include "common/log.h"

// Read by jemalloc: few threads of a service allocate at the same time, and a record is 1 KB.
extern "C" const char* malloc_conf = "narenas:2,tcache_max:4096";

namespace dispatch::broker {

std::unique_ptr<ServiceBase> StartOnKafka(Service& service, const std::string& name, int argc,
                                          const char* const* argv, int* exit_code) {
  *exit_code = service.Start(argc, argv);
  if (*exit_code >= 0) return nullptr;
  *exit_code = 1;
  const Config& config = service.config();
  auto key = crypto::ReadKeyFile(config.String("service-key-file"));
  if (!key.ok()) {
    log::Error("cannot start setting=service-key-file error=\"{}\"", key.message());
    return nullptr;
  }
  auto broker = ConnectKafka(service.loop(), KafkaOptions::FromConfig(config, name));
  if (!broker.ok()) {
    log::Error("cannot start error=\"{}\"", broker.message());
    return nullptr;
  }
  return std::make_unique<ServiceBase>(ServiceBase{std::move(*key), std::move(*broker)});
}

}  // namespace dispatch::broker
