#include "function-manager/src/runtime/testing/runner_fixture.h"

#include <unistd.h>

namespace dispatch::runtime {

RunnerFixture::RunnerFixture() {
  std::string name = std::filesystem::temp_directory_path() / "runner-XXXXXX";
  directory_ = mkdtemp(name.data());
  // Users of this test only, by which it finds what is left of its sandboxes.
  options_.first_uid = 2'000'000'000U + static_cast<uint32_t>(getpid()) * 64;
  options_.runtimes_dir = DISPATCH_TEST_RUNTIMES;
}

}  // namespace dispatch::runtime
