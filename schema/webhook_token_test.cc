#include "schema/webhook_token.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dispatch::schema::webhook_token_test {
namespace {

const std::string kKey(32, 'k');
const WallTime kNow = FromMillis(1'000'000);

json::object Document(int64_t generation, int64_t previous_until_ms = 0) {
  return {{"internal",
           {{"webhook", {{"generation", generation}, {"previousUntilMs", previous_until_ms}}}}}};
}

bool Takes(const json::object& document, const std::string& token) {
  return IsWebhookToken(kKey, "driver", document, token, kNow);
}

TEST(WebhookTokenTest, IsOfItsKeyDriverAndGeneration) {
  std::string token = WebhookToken(kKey, "driver", 1);
  EXPECT_EQ(token.size(), 43u);
  EXPECT_TRUE(std::all_of(token.begin(), token.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  }));
  EXPECT_EQ(token, WebhookToken(kKey, "driver", 1));
  EXPECT_NE(token, WebhookToken(kKey, "driver", 2));
  EXPECT_NE(token, WebhookToken(kKey, "other", 1));
  EXPECT_NE(token, WebhookToken(std::string(32, 'l'), "driver", 1));
  // "driver 1" of generation 1 is not "driver" of generation 11.
  EXPECT_NE(WebhookToken(kKey, "driver 1", 1), WebhookToken(kKey, "driver", 11));
}

TEST(WebhookTokenTest, TheOneBeforeCountsUntilItsTime) {
  std::string first = WebhookToken(kKey, "driver", 1);
  std::string second = WebhookToken(kKey, "driver", 2);
  EXPECT_TRUE(Takes(Document(1), first));
  EXPECT_FALSE(Takes(Document(1), second));
  EXPECT_TRUE(Takes(Document(2, 1'000'001), first));
  EXPECT_TRUE(Takes(Document(2, 1'000'001), second));
  EXPECT_FALSE(Takes(Document(2, 1'000'000), first));
  EXPECT_FALSE(Takes(Document(3, 1'000'001), first));
  EXPECT_FALSE(Takes(Document(1, 1'000'001), WebhookToken(kKey, "driver", 0)));
}

TEST(WebhookTokenTest, NothingElseIsOne) {
  for (const std::string& token : {std::string(), std::string(43, 'A'), std::string("x")}) {
    EXPECT_FALSE(Takes(Document(1), token));
  }
  std::string token = WebhookToken(kKey, "driver", 1);
  EXPECT_FALSE(Takes({}, token));  // a driver of another type
  EXPECT_FALSE(Takes({{"internal", json::object()}}, token));
  EXPECT_FALSE(Takes(Document(1), token + "="));
}

}  // namespace
}  // namespace dispatch::schema::webhook_token_test
