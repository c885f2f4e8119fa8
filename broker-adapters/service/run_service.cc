#include "broker-adapters/service/run_service.h"

#include <cstddef>

#include "common/crypto.h"
#include "common/log.h"

// Read by jemalloc: few threads of a service allocate at the same time, a record is 1 KB, and each
// of two dozen threads that do little should keep little.
extern "C" const char* malloc_conf =
    "narenas:2,tcache_max:4096,tcache_nslots_small_max:32,tcache_nslots_large:4";
extern "C" int mallctl(const char* name, void* old_value, size_t* old_size, void* new_value,
                       size_t new_size) __attribute__((weak));  // the sanitizers' builds lack it

namespace dispatch::broker {

namespace {

constexpr Duration kGiveBackEvery = std::chrono::seconds(10);

// jemalloc returns what was not used for 10 s while it is asked for memory: without a push a
// service that had a burst, and is quiet since, keeps what the burst took.
void GiveBackMemory(Loop& loop) {
  mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
  mallctl("arena.4096.decay", nullptr, nullptr, nullptr, 0);  // 4096: MALLCTL_ARENAS_ALL
  loop.After(kGiveBackEvery, [&loop] { GiveBackMemory(loop); });
}

}  // namespace

std::unique_ptr<ServiceBase> StartOnKafka(Service& service, const std::string& name, int argc,
                                          const char* const* argv, int* exit_code) {
  *exit_code = service.Start(argc, argv);
  if (*exit_code >= 0) return nullptr;
  *exit_code = 1;
  if (mallctl != nullptr) GiveBackMemory(service.loop());
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
