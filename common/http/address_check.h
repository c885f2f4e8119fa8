#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/result.h"

namespace dispatch::http {

/// Whether hosts that a user named may be connected to: public addresses only, or private ones too;
/// a metadata service's never. For clients that resolve names themselves. One owner.
class AddressCheck {
 public:
  AddressCheck(EventLoop& loop, bool allow_private);
  ~AddressCheck();

  /// `done` gets an allowed address of each host, in their order, or why one is refused. Runs
  /// later; not after the end of this object.
  void Check(std::vector<std::string> hosts,
             std::function<void(Result<std::vector<std::string>>)> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dispatch::http
