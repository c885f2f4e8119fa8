#include "api-gateway/src/domain/testing/gateway_fixture.h"
#include "schema/webhook_token.h"

namespace dispatch::gateway::webhooks_test {
namespace {

class Webhooks : public testing::GatewayTest {
 protected:
  // Returns its address.
  std::string PutDriver(const std::string& name, const std::string& config) {
    PutState(kEventManager, schema::kDriverKind, "acme", name,
             R"({"name":")" + name + R"(","type":"webhook","config":)" + config +
                 R"(,"internal":{"webhook":{"generation":1}}})");
    auto driver = events_.Find(schema::kDriverKind, "acme/" + name);
    return "/v1/event/ingest/acme/" + name +
           "?token=" + schema::WebhookToken(kServiceKey, driver->uuid.ToString(), 1);
  }
  testing::Answer Ask(const std::string& address, Fields fields) {
    return Send("OPTIONS", address, "", std::move(fields), false);
  }
};

TEST_F(Webhooks, WhoAsksFirstIsTold) {
  std::string open = PutDriver("open", "[]");
  auto allowed = Ask(open, {{"WebHook-Request-Origin", "a.example"}});
  EXPECT_EQ(allowed.status, 200);
  EXPECT_EQ(allowed.Header("WebHook-Allowed-Origin"), "a.example");
  EXPECT_EQ(allowed.Header("WebHook-Allowed-Rate"), "(none)");
  EXPECT_EQ(Ask(open, {}).Header("WebHook-Allowed-Origin"), "(none)");
  EXPECT_EQ(Ask(open + "x", {{"WebHook-Request-Origin", "a.example"}}).status, 401);
}

// Nobody that identity knows is denied: there is nothing for the audit log.
TEST_F(Webhooks, AnOriginThatIsNotListedIsRefused) {
  std::string limited =
      PutDriver("limited", R"([{"key":"origins","value":"a.example , b.example,"}])");
  EXPECT_EQ(Ask(limited, {{"WebHook-Request-Origin", "B.example"}}).status, 200);
  EXPECT_EQ(Ask(limited, {{"WebHook-Request-Origin", "c.example"}}).status, 403);
  EXPECT_EQ(Ask(limited, {{"WebHook-Request-Origin", ""}}).status, 403);
}

}  // namespace
}  // namespace dispatch::gateway::webhooks_test
