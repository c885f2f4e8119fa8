#pragma once

#include <functional>
#include <memory>

#include "common/clock.h"
#include "common/pg/pool.h"
#include "function-manager/src/adapters/function_files.h"
#include "function-manager/src/domain/container_images.h"
#include "function-manager/src/domain/runner.h"

namespace dispatch {

/// Makes base images, images and functions READY, or says in `reason` why they cannot be (decision
/// 0017, 3). Each thing to do is leased; who dies is followed by another who begins it again. One
/// owner.
class FunctionWorker {
 public:
  /// `told` runs after each change of an entity.
  FunctionWorker(Loop& loop, pg::Pool& pool, FunctionFiles& files, ContainerImages& images,
                 Runner& runner, std::function<void()> told);
  ~FunctionWorker();

  void Start();
  /// There may be something to do.
  void Nudge();
  /// Takes nothing new and gives back what it has.
  void Stop(std::function<void()> stopped);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch
