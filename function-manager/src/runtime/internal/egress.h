#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/process/spawn.h"
#include "common/result.h"
#include "function-manager/src/runtime/network_options.h"

namespace dispatch::runtime {

/// The way to the network of sandboxes that may use it (decision 0020). Each has a network
/// namespace of its own in which every IPv4 address is local: a helper (runtimes/egress) listens
/// there on the ports that may be reached and hands the listeners over. What is connected to, a
/// connection's own address tells; this makes the connection on the machine's network, if the
/// address may be reached, and carries the bytes. Names are asked of the machine's name servers.
/// All of it on one thread of low priority, which starts with the first gate. Thread-safe.
class Egress {
 public:
  explicit Egress(NetworkOptions options);
  ~Egress();
  Egress(const Egress&) = delete;
  Egress& operator=(const Egress&) = delete;

  /// The way of one sandbox; its connections end with it.
  class Gate {
   public:
    Gate(std::function<void()> close, Fd helper) : helper(std::move(helper)), close_(close) {}
    ~Gate() { close_(); }
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    Fd helper;  // the helper's descriptor; to be closed here once the sandbox is started

   private:
    std::function<void()> close_;
  };

  /// kUnavailable without descriptors.
  Result<std::unique_ptr<Gate>> Open();
  /// What is put before a sandbox's program: the helper, its `descriptor`, the ports.
  std::vector<std::string> Command(const std::string& python, int descriptor) const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

/// Whether a sandbox may be connected to an address: public ones that are none of this machine, and
/// those that `allow` has; never a cloud's metadata service.
class NetworkPolicy {
 public:
  explicit NetworkPolicy(const std::vector<std::string>& allow);
  /// IPv4, in the order of the processor.
  bool Allows(uint32_t address) const;

 private:
  struct Prefix {
    uint32_t network;
    uint32_t mask;
  };
  std::vector<Prefix> allowed_;
};

}  // namespace dispatch::runtime
