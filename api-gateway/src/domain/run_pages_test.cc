#include "api-gateway/src/domain/testing/gateway_fixture.h"

namespace dispatch::gateway::run_pages_test {
namespace {

// Plays a function-manager whose replies hold one run each.
class RunPages : public testing::GatewayTest {
 protected:
  RunPages() {
    Serve(kFunctionManager, "run.list", [this](const schema::Request& request) {
      auto body = *json::ParseObject(request.body);
      asked_.push_back(json::GetInt(body, "limit"));
      int64_t number = std::stoll(json::GetString(body, "cursor", "0"));
      json::object page{{"items", json::array()}};
      if (number < runs_) page["items"].as_array().push_back({{"name", std::to_string(number)}});
      if (number + 1 < runs_) page["next"] = std::to_string(number + 1);
      return Result<broker::RpcReply>(broker::RpcReply{std::move(page)});
    });
  }
  int64_t runs_ = 4;
  std::vector<int64_t> asked_;
};

TEST_F(RunPages, ArePutTogetherOfReplies) {
  auto all = Send("GET", "/v1/runs");
  EXPECT_EQ(all.body, R"([{"name":"0"},{"name":"1"},{"name":"2"},{"name":"3"}])");
  EXPECT_EQ(all.Header("Link"), "(none)");
  EXPECT_EQ(asked_, (std::vector<int64_t>{1000, 999, 998, 997}));
  auto two = Send("GET", "/v1/runs?limit=2&cursor=1");
  EXPECT_EQ(two.body, R"([{"name":"1"},{"name":"2"}])");
  EXPECT_EQ(two.Header("Link"), R"(</v1/runs?limit=2&cursor=3>; rel="next")");
  runs_ = 0;
  EXPECT_EQ(Send("GET", "/v1/runs").body, "[]");
}

TEST_F(RunPages, EndWhereTheyWouldGrowTooLarge) {
  runs_ = 10;
  auto some = Send("GET", "/v1/runs");
  EXPECT_EQ(some.Json().as_array().size(), 6u);
  EXPECT_EQ(some.Header("Link"), R"(</v1/runs?cursor=6>; rel="next")");
}

}  // namespace
}  // namespace dispatch::gateway::run_pages_test
