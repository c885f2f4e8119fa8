#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/event_loop.h"
#include "common/pg/pool.h"

namespace dispatch::pg::testing {

/// A contract test on the PostgreSQL that DISPATCH_TEST_PG_URL names, in an empty schema of its own
/// that is gone afterwards; skipped without one. A SetUp of a test that derives from it begins
/// `OwnSchema::SetUp(); if (IsSkipped()) return;`.
class OwnSchema : public ::testing::Test {
 protected:
  explicit OwnSchema(std::string schema, size_t connections = 1)
      : schema_(std::move(schema)), connections_(connections) {}

  void SetUp() override {
    const char* url = std::getenv("DISPATCH_TEST_PG_URL");
    if (url == nullptr) {
      GTEST_SKIP() << "set DISPATCH_TEST_PG_URL to a PostgreSQL database to run this";
    }
    PoolOptions options{.url = url, .connections = 1};
    outside_ = std::make_unique<Pool>(options, loop_);
    Script(*outside_, "drop schema if exists " + schema_ + " cascade; create schema " + schema_);
    options.url += options.url.find('?') == std::string::npos ? '?' : '&';
    options.url += "options=-csearch_path%3D" + schema_;
    options.connections = connections_;
    pool_ = std::make_unique<Pool>(options, loop_);
  }
  void TearDown() override {
    if (outside_) Script(*outside_, "drop schema if exists " + schema_ + " cascade");
  }

  static void Script(Pool& pool, const std::string& sql) {
    auto status = pool.RunNow([&](Transaction& tx) { return tx.ExecScript(sql); });
    ASSERT_TRUE(status.ok()) << status.message();
  }
  void Migrate(const std::vector<Migration>& migrations) {
    auto migrated = pg::Migrate(*pool_, migrations);
    ASSERT_TRUE(migrated.ok()) << migrated.message();
  }

  EventLoop loop_;
  std::unique_ptr<Pool> outside_;  // of no schema
  std::unique_ptr<Pool> pool_;

 private:
  std::string schema_;
  size_t connections_;
};

}  // namespace dispatch::pg::testing
