#pragma once

#include <gtest/gtest.h>

#include <string>

#include "cli/src/testing/fake_machine.h"

namespace dispatch::cli::testing {

/// Tests of verbs: a machine that knows an address and a key.
class VerbsTest : public ::testing::Test {
 protected:
  VerbsTest() {
    m.variables["DISPATCH_HOST"] = "127.0.0.1";
    m.variables["DISPATCH_TOKEN"] = "key";
  }
  /// "METHOD /path body" of a request.
  std::string Sent(size_t i = 0) const {
    if (i >= m.requests.size()) return "(nothing)";
    const auto& r = m.requests[i];
    return r.method + " " + r.path + (r.body.empty() ? "" : " " + r.body);
  }

  FakeMachine m;
};

}  // namespace dispatch::cli::testing
