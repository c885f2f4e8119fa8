// Runs in PostgreSQL: against the one that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto.h"
#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "common/uuid.h"
#include "function-manager/src/adapters/source_uploads.h"
#include "function-manager/src/domain/testing/archives.h"

namespace dispatch::source_uploads_contract {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// Of a file that does not shrink.
std::string Archive(size_t size) { return testing::Archive("data", crypto::RandomBytes(size)); }

class Uploads : public pg::testing::OwnSchema {
 protected:
  Uploads() : OwnSchema("source_uploads_contract") {}
  void SetUp() override {
    OwnSchema::SetUp();
    if (!IsSkipped()) Migrate(Migrations());
  }

  using Outcome = Result<broker::RpcReply>;
  Outcome Ask(void (SourceUploads::*method)(const schema::Request&, SourceUploads::Responder),
              const json::object& body, const std::string& org = "acme") {
    SourceUploads uploads(loop_, *pool_);
    schema::Request request;
    request.org = org;
    request.body = json::Serialize(body);
    std::optional<Outcome> slot;
    (uploads.*method)(request, [&](Outcome outcome) { slot = std::move(outcome); });
    EXPECT_TRUE(loop_.RunUntil([&] { return slot.has_value(); }, 20s));
    return slot ? *slot : Outcome(Code::kInternal, "no answer");
  }
  Outcome Put(int number, std::string_view bytes, const std::string& org = "acme") {
    return Ask(&SourceUploads::Put,
               {{"upload", id_}, {"number", number}, {"data", crypto::Base64Encode(bytes)}}, org);
  }
  Outcome Finish(int pieces, const std::string& org = "acme") {
    return Ask(&SourceUploads::Finish, {{"upload", id_}, {"pieces", pieces}}, org);
  }
  int64_t Count(const std::string& table) {
    std::optional<int64_t> count;
    pool_->Query<pg::Rows>(
        [&](pg::Transaction& tx) { return tx.Exec("select count(*) from " + table); },
        [&](Result<pg::Rows> rows) { count = rows.ok() ? (*rows)[0].Int(0) : -1; });
    EXPECT_TRUE(loop_.RunUntil([&] { return count.has_value(); }, 20s));
    return *count;
  }
  size_t Forget(int seconds) {
    std::optional<size_t> count;
    pool_->Query<size_t>([&](pg::Transaction& tx) { return ForgetPieces(tx, seconds); },
                         [&](Result<size_t> forgotten) { count = forgotten.value(); });
    EXPECT_TRUE(loop_.RunUntil([&] { return count.has_value(); }, 20s));
    return *count;
  }

  const std::string id_ = Uuid::Random().ToString();
};

TEST_F(Uploads, PiecesBecomeOneSourceHoweverOftenTheyAreSent) {
  std::string source = Archive(300'000);
  std::string_view all = source;
  EXPECT_TRUE(Put(1, all.substr(200'000)).ok());
  EXPECT_TRUE(Put(0, all.substr(0, 200'000)).ok());
  EXPECT_TRUE(Put(1, all.substr(200'000)).ok());
  for (int i = 0; i < 2; ++i) {
    auto finished = Finish(2);
    ASSERT_TRUE(finished.ok()) << finished.message();
    EXPECT_EQ(json::GetString(finished->body.as_object(), "digest"),
              crypto::HexEncode(crypto::Sha256(source)));
  }
  EXPECT_EQ(Count("function_sources"), 1);
  EXPECT_EQ(Count("source_pieces where number >= 0"), 0);
}

TEST_F(Uploads, WhatIsNotWholeIsNoSource) {
  std::string source = Archive(1'000);
  EXPECT_FALSE(Finish(0).ok());
  EXPECT_TRUE(Put(1, source).ok());
  EXPECT_EQ(Finish(2).code(), Code::kUnavailable);
  EXPECT_TRUE(Put(0, source).ok());
  EXPECT_EQ(Finish(1).code(), Code::kUnavailable);
  EXPECT_EQ(Finish(2, "other").code(), Code::kUnavailable);
  EXPECT_EQ(Count("source_pieces"), 2);
  EXPECT_EQ(Forget(600), 0u);
  EXPECT_EQ(Forget(0), 2u);
  EXPECT_EQ(Count("function_sources"), 0);
}

TEST_F(Uploads, WhatIsNoArchiveOrTooMuchIsToldAndGone) {
  EXPECT_TRUE(Put(0, "no archive").ok());
  auto refused = Finish(1);
  EXPECT_EQ(refused.code(), Code::kUnprocessable);
  EXPECT_THAT(refused.message(), HasSubstr("gzip"));
  EXPECT_EQ(Count("source_pieces"), 0);
  EXPECT_EQ(Ask(&SourceUploads::Put, {{"upload", id_}, {"number", 0}, {"data", "*"}}).code(),
            Code::kUnprocessable);
  EXPECT_EQ(Put(1'000, "x").code(), Code::kInvalidArgument);
  std::string piece(4 << 20, 'x');
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Put(i, piece).ok());
  EXPECT_EQ(Finish(5).code(), Code::kTooLarge);
  EXPECT_EQ(Count("source_pieces"), 0);
}

TEST_F(Uploads, AnOrganisationHoldsSoMuchAndNoMore) {
  std::string piece(16 << 20, 'x');
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Put(i, piece).ok());
  EXPECT_EQ(Put(4, "x").code(), Code::kResourceExhausted);
  EXPECT_TRUE(Put(5, "x", "other").ok());
}

}  // namespace
}  // namespace dispatch::source_uploads_contract
