#include <gmock/gmock.h>

#include "api-gateway/src/domain/testing/gateway_fixture.h"
#include "common/crypto.h"

namespace dispatch::gateway::source_uploads_test {
namespace {

using ::testing::HasSubstr;

class LargeSources : public testing::GatewayTest {
 protected:
  LargeSources() {
    Serve(kFunctionManager, "source.put", [this](const schema::Request& request) {
      auto body = *json::ParseObject(request.body);
      ++puts_;
      if (puts_ <= away_) return Result<broker::RpcReply>(Code::kUnavailable, "away");
      pieces_[json::GetInt(body, "number")] = json::GetString(body, "data");
      uploads_seen_.insert(json::GetString(body, "upload"));
      return Result<broker::RpcReply>(broker::RpcReply{json::object()});
    });
    Serve(kFunctionManager, "source.finish", [this](const schema::Request& request) {
      auto body = *json::ParseObject(request.body);
      EXPECT_EQ(json::GetInt(body, "pieces"), static_cast<int64_t>(pieces_.size()));
      if (bad_) return Result<broker::RpcReply>(Code::kUnprocessable, "this is no archive");
      return Result<broker::RpcReply>(broker::RpcReply{json::object{{"digest", "d1"}}});
    });
    Serve(kFunctionManager, "function.create", [this](const schema::Request& request) {
      created_.push_back(request.body);
      return Result<broker::RpcReply>(broker::RpcReply{json::object{{"name", "f"}}});
    });
  }

  std::string Body(const std::string& source, const std::string& more = "") {
    return R"({"name":"f","image":"i","source":")" + source + "\"" + more + "}";
  }
  std::string Received() {
    std::string all;
    for (const auto& [number, text] : pieces_) all += text;
    return all;
  }

  const std::string large_ = crypto::Base64Encode(crypto::RandomBytes(1'500'000));
  std::map<int64_t, std::string> pieces_;
  std::set<std::string> uploads_seen_;
  std::vector<std::string> created_;
  int puts_ = 0;
  int away_ = 0;  // so many puts fail
  bool bad_ = false;
};

TEST_F(LargeSources, GoInPiecesAndTheirDigestInTheirPlace) {
  EXPECT_EQ(Send("POST", "/v1/function", Body(large_)).status, 201);
  EXPECT_EQ(Received(), large_);
  EXPECT_EQ(pieces_.size(), 3u);
  EXPECT_EQ(uploads_seen_.size(), 1u);
  ASSERT_EQ(created_.size(), 1u);
  EXPECT_EQ(created_[0], R"({"name":"f","image":"i","sourceDigest":"d1"})");
  EXPECT_EQ(Send("POST", "/v1/function", Body("SMALL")).status, 201);
  EXPECT_EQ(created_[1], Body("SMALL"));
}

TEST_F(LargeSources, ArriveAlthoughNobodyIsThereForAWhile) {
  away_ = 3;
  EXPECT_EQ(Send("POST", "/v1/function", Body(large_)).status, 201);
  EXPECT_EQ(Received(), large_);
  away_ = 1'000'000;
  EXPECT_EQ(Send("POST", "/v1/function", Body(large_)).status, 503);
}

TEST_F(LargeSources, AreRefusedWithTheReason) {
  bad_ = true;
  auto refused = Send("POST", "/v1/function", Body(large_));
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.Text("message"), "this is no archive");
  puts_ = 0;
  auto large = Send("POST", "/v1/function", Body(std::string(22'369'640, 'A')));
  EXPECT_EQ(large.status, 413);
  EXPECT_THAT(large.Text("message"), HasSubstr("16 MiB"));
  EXPECT_EQ(puts_, 0);
  auto named = Send("POST", "/v1/function", Body("", R"(,"sourceDigest":"d1")"));
  EXPECT_EQ(named.status, 422);
  EXPECT_THAT(named.Text("message"), HasSubstr("sourceDigest"));
  EXPECT_TRUE(created_.empty());
}

TEST_F(LargeSources, AreFewAtOnce) {
  auto first = Begin("POST", "/v1/function", Body(large_));
  auto second = Send("POST", "/v1/function", Body(large_));
  EXPECT_EQ(second.status, 503);
  EXPECT_NE(second.Header("Retry-After"), "(none)");
  EXPECT_TRUE(loop_.RunUntil([&] { return first->response_.has_value(); }));
  EXPECT_EQ(first->response_->status, 201);
  EXPECT_EQ(Send("POST", "/v1/function", Body(large_)).status, 201);
}

}  // namespace
}  // namespace dispatch::gateway::source_uploads_test
