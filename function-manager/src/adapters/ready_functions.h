#pragma once

#include <memory>
#include <string>

#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "function-manager/src/adapters/function_files.h"
#include "function-manager/src/domain/function_catalog.h"

namespace dispatch {

/// The FunctionCatalog over function-manager's own state topic and this instance's files. Retires
/// versions that serve no more, and collects their files after a while.
class ReadyFunctions : public FunctionCatalog {
 public:
  ReadyFunctions(Loop& loop, const broker::StateTable& functions, FunctionFiles& files,
                 Runner& runner);
  ~ReadyFunctions() override;

  void Start();
  /// `done` may run inside the call.
  void Find(const std::string& org, const std::string& name, Done done) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch
