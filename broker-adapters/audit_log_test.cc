#include "broker-adapters/audit_log.h"

#include <gtest/gtest.h>

namespace dispatch::broker::audit_log_test {

schema::Request Make(const std::string& method, const std::string& body) {
  schema::Request request;
  request.method = method;
  request.body = body;
  return request;
}

TEST(AuditLogTest, NamesWhatWasChanged) {
  EXPECT_EQ(AuditedResource(Make("topic.create", R"({"name":"orders"})")), "topic/orders");
  EXPECT_EQ(AuditedResource(Make("deadletter.purge", R"({"subscription":"s","reason":"gone"})")),
            "deadletter/s");
  EXPECT_EQ(AuditedResource(Make("redrive.cancel", R"({"subscription":"s","id":"7"})")),
            "redrive/s/7");
  EXPECT_EQ(AuditedResource(Make("topic.create", "{")), "topic/");
}

}  // namespace dispatch::broker::audit_log_test
