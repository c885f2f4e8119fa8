#include "function-manager/src/domain/credentials.h"

#include <gtest/gtest.h>

namespace dispatch::credentials_test {
namespace {

// The example of the Standard Webhooks specification's reference libraries.
TEST(Credentials, SignsAsStandardWebhooks) {
  SecretValues keys{{"k", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}};
  EXPECT_EQ(
      SignatureOf(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, R"({"test": 2432232314})"),
      "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(Credentials, SignsUnderEveryKeyOfARotation) {
  std::string both = SignatureOf({{"new", "a"}, {"old", "b"}}, "id", 1, "x");
  EXPECT_EQ(both, SignatureOf({{"new", "a"}}, "id", 1, "x") + " " +
                      SignatureOf({{"old", "b"}}, "id", 1, "x"));
}

TEST(Credentials, AuthorizesByWholeFieldTokenOrPassword) {
  EXPECT_EQ(*AuthorizationOf({{"authorization", "ApiKey 7"}, {"token", "t"}}), "ApiKey 7");
  EXPECT_EQ(*AuthorizationOf({{"token", "t"}}), "Bearer t");
  EXPECT_EQ(*AuthorizationOf({{"username", "Aladdin"}, {"password", "open sesame"}}),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  EXPECT_EQ(AuthorizationOf({{"pass", "t"}}).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace dispatch::credentials_test
