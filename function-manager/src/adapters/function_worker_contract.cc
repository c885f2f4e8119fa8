// Runs against the PostgreSQL that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "broker-adapters/entities/entity_store.h"
#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "function-manager/src/adapters/function_files.h"
#include "function-manager/src/adapters/function_work.h"
#include "function-manager/src/adapters/function_worker.h"
#include "function-manager/src/adapters/source_uploads.h"
#include "function-manager/src/domain/function_document.h"
#include "function-manager/src/domain/testing/archives.h"
#include "function-manager/src/domain/testing/fake_runner.h"
#include "schema/objects.h"

namespace dispatch::function_worker_contract {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string Archive(const std::string& text) { return testing::Archive("x.py", text); }

class Functions : public pg::testing::OwnSchema {
 protected:
  Functions() : OwnSchema("function_worker_contract", 2) {}
  void SetUp() override {
    OwnSchema::SetUp();
    if (IsSkipped()) return;
    Migrate(Migrations());
    std::string name = ::testing::TempDir() + "functions-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    NewInstance();
  }
  void TearDown() override {
    worker_.reset();
    files_.reset();
    fs::remove_all(directory_);
    OwnSchema::TearDown();
  }

  // As after a SIGKILL: what was under way is forgotten, the database is not told.
  void NewInstance() {
    worker_.reset();
    files_.reset();
    files_ = std::make_unique<FunctionFiles>(loop_, *pool_, FunctionFiles::Options{directory_, {}});
    containers_.loop = &loop_;
    worker_ = std::make_unique<FunctionWorker>(loop_, *pool_, *files_, containers_, runner_, [] {});
    worker_->Start();
  }

  void In(const std::function<Status(pg::Transaction&)>& work) {
    auto status = pool_->RunNow(work);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  // `work` false: it is never begun.
  StoredEntity Make(const std::string& kind, const std::string& name, json::object document,
                    bool work = true, const std::string& org = "acme") {
    Uuid target = Uuid::Random();
    StoredEntity made;
    document["name"] = name;
    document["status"] = "INITIALIZED";
    document["internal"] = {{"target", target.ToString()}};
    In([&](pg::Transaction& tx) -> Status {
      StoredEntity entity{kind, org, name, Uuid::Random(), 0, document};
      RETURN_IF_ERROR(EntityStore(tx).Insert(entity));
      made = entity;
      return work ? AddWork(tx, entity, target) : OkStatus();
    });
    worker_->Nudge();
    return made;
  }

  void MakeImage() {
    Make(schema::kBaseImageKind, "base", {{"language", "binary"}});
    Make(schema::kImageKind, "image", {{"baseImageName", "base"}, {"language", "binary"}});
  }

  NextVersion Next(const std::string& text, const std::string& handler) {
    NextVersion next;
    next.fields = {{"runtime", "process"}, {"image", "image"}, {"handler", handler}};
    next.faas_id = Uuid::Random();
    In([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(next.source_digest, KeepSource(tx, Archive(text)));
      return OkStatus();
    });
    return next;
  }

  Uuid MakeFunction(const std::string& text, const std::string& handler) {
    NextVersion next = Next(text, handler);
    In([&](pg::Transaction& tx) -> Status {
      StoredEntity entity{schema::kFunctionKind, "acme", "f",
                          Uuid::Random(),        0,      NewFunctionDocument("f", next, 1)};
      RETURN_IF_ERROR(EntityStore(tx).Insert(entity));
      return AddWork(tx, entity, next.faas_id);
    });
    worker_->Nudge();
    return next.faas_id;
  }

  Uuid Change(const NextVersion& next) {
    In([&](pg::Transaction& tx) -> Status {
      EntityStore store(tx);
      ASSIGN_OR_RETURN(auto entity, store.Lock(schema::kFunctionKind, "acme", "f"));
      BeginVersion(entity.document, next, 2);
      RETURN_IF_ERROR(store.Update(entity, std::nullopt));
      return AddWork(tx, entity, next.faas_id);
    });
    worker_->Nudge();
    return next.faas_id;
  }

  json::object Read(const std::string& kind, const std::string& name) {
    json::object document;
    In([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(auto found, EntityStore(tx).Find(kind, "acme", name));
      if (found) document = found->document;
      return {};
    });
    return document;
  }
  int64_t Count(const std::string& sql) {
    int64_t count = -1;
    In([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(auto rows, tx.Exec(sql));
      count = rows.empty() ? -1 : rows[0].Int(0);
      return {};
    });
    return count;
  }
  bool Until(const std::function<bool()>& done) { return loop_.RunUntil(done, 20s); }
  json::object Settled(const std::string& kind = schema::kFunctionKind,
                       const std::string& name = "f") {
    EXPECT_TRUE(Until([&] {
      return Count("select count(*) from function_work where name = '" + name + "'") == 0;
    }));
    return Read(kind, name);
  }

  fs::path directory_;
  ::dispatch::testing::FakeRunner runner_;
  std::unique_ptr<FunctionFiles> files_;
  struct Containers : ContainerImages {
    void Find(const std::string& reference,
              std::function<void(Result<std::string>)> done) override {
      asked.push_back(reference);
      if (!hold) loop->Post([done, answer = answer] { done(answer); });
    }
    Loop* loop = nullptr;
    bool hold = false;  // none is answered
    Result<std::string> answer = Error{Code::kUnprocessable, "no engine"};
    std::vector<std::string> asked;
  };
  Containers containers_;
  std::unique_ptr<FunctionWorker> worker_;
};

TEST_F(Functions, WaitForTheirImageAndAreProvedThen) {
  auto base = Make(schema::kBaseImageKind, "base", {{"language", "binary"}}, false);
  Make(schema::kImageKind, "image", {{"baseImageName", "base"}, {"language", "binary"}});
  Uuid id = MakeFunction("one", "h1");
  ASSERT_TRUE(Until([&] {
    return Count("select count(*) from function_work where due > now() and owner = ''") == 2;
  }));
  EXPECT_EQ(json::GetString(Read(schema::kFunctionKind, "f"), "status"), "INITIALIZED");
  auto target = Uuid::Parse(json::GetString(base.document["internal"].as_object(), "target"));
  In([&](pg::Transaction& tx) { return AddWork(tx, base, *target); });
  worker_->Nudge();
  json::object document = Settled();
  EXPECT_EQ(json::GetString(document, "status"), "READY");
  EXPECT_EQ(ServingFaasId(document), id);
  EXPECT_FALSE(document.contains("next"));
  ASSERT_EQ(runner_.asked.size(), 1u);
  EXPECT_EQ(runner_.asked[0]->handler, "h1");
  EXPECT_EQ(runner_.asked[0]->language, "binary");
  std::ifstream file(fs::path(runner_.asked[0]->source) / "x.py");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "one");
  EXPECT_EQ(Count("select count(*) from function_versions"), 1);
}

TEST_F(Functions, OfAContainerAreProvedWithTheImageAsItIs) {
  Make(schema::kBaseImageKind, "base", {{"language", "ruby"}, {"dockerUrl", "x/ruby:1"}});
  EXPECT_EQ(Settled(schema::kBaseImageKind, "base")["reason"], json::array{"no engine"});
  containers_.answer = std::string("x/ruby@sha256:aa");
  Make(schema::kBaseImageKind, "base2", {{"language", ""}, {"dockerUrl", "x/ruby:2"}});
  Make(schema::kImageKind, "image",
       {{"baseImageName", "base2"}, {"runtimeDependencies", {{"manifest", "rake"}}}});
  json::object image = Settled(schema::kImageKind, "image");
  EXPECT_EQ(json::GetString(image, "status"), "READY");
  EXPECT_THAT(json::Serialize(image["reason"]), HasSubstr("recorded but not installed"));
  EXPECT_EQ(containers_.asked, (std::vector<std::string>{"x/ruby:1", "x/ruby:2", "x/ruby:2"}));
  MakeFunction("one", "h1");
  EXPECT_EQ(json::GetString(Settled(), "status"), "READY");
  ASSERT_EQ(runner_.asked.size(), 1u);
  EXPECT_EQ(runner_.asked[0]->language, "container");
  EXPECT_EQ(runner_.asked[0]->image, "x/ruby@sha256:aa");
}

TEST_F(Functions, SayWhyTheyCannotServe) {
  MakeImage();
  runner_.proof = Error{Code::kUnprocessable, "no function h1 in x.py"};
  MakeFunction("one", "h1");
  json::object document = Settled();
  EXPECT_EQ(json::GetString(document, "status"), "ERROR");
  EXPECT_EQ(document["reason"], json::array{"no function h1 in x.py"});
  EXPECT_TRUE(ServingFaasId(document).is_nil());
}

TEST_F(Functions, ServeOnWhenAnUpdateFails) {
  MakeImage();
  Uuid first = MakeFunction("one", "h1");
  Settled();
  runner_.proof = Error{Code::kUnprocessable, "a syntax error"};
  Uuid second = Change(Next("two", "h2"));
  json::object document = Settled();
  EXPECT_EQ(json::GetString(document, "status"), "READY");
  EXPECT_EQ(ServingFaasId(document), first);
  EXPECT_EQ(json::GetString(document, "handler"), "h1");
  EXPECT_THAT(json::Serialize(document["reason"]), HasSubstr("a syntax error"));
  EXPECT_TRUE(runner_.retired.contains(second));
  runner_.proof = Status();
  Uuid third = Change(Next("three", "h3"));
  document = Settled();
  EXPECT_EQ(ServingFaasId(document), third);
  EXPECT_EQ(document["reason"], json::array());
  EXPECT_EQ(document["versions"].as_array().size(), 2u);
}

TEST_F(Functions, ServeAnOlderVersionAgain) {
  MakeImage();
  MakeFunction("one", "h1");
  json::object record = VersionRecord(Settled());
  Change(Next("two", "h2"));
  Settled();
  Uuid again = Change(FromRecord(record, Uuid::Random()));
  json::object document = Settled();
  EXPECT_EQ(ServingFaasId(document), again);
  EXPECT_EQ(json::GetString(document, "handler"), "h1");
  EXPECT_EQ(json::GetInt(document["version"].as_object(), "number"), 3);
  EXPECT_EQ(document["versions"].as_array().size(), 3u);
}

TEST_F(Functions, TheNewestChangeWins) {
  MakeImage();
  Settled(schema::kImageKind, "image");
  runner_.hold = true;
  MakeFunction("one", "h1");
  ASSERT_TRUE(Until([&] { return runner_.held.size() == 1; }));
  Uuid newest = Change(Next("two", "h2"));
  ASSERT_TRUE(Until([&] { return runner_.held.size() == 2; }));
  runner_.hold = false;
  runner_.Release();
  json::object document = Settled();
  EXPECT_EQ(ServingFaasId(document), newest);
  EXPECT_EQ(document["versions"].as_array().size(), 1u);
}

TEST_F(Functions, WhoDiesIsFollowed) {
  MakeImage();
  Settled(schema::kImageKind, "image");
  runner_.hold = true;
  Uuid id = MakeFunction("one", "h1");
  ASSERT_TRUE(Until([&] { return runner_.held.size() == 1; }));
  fs::create_directories(directory_ / "sources" / ".making-dead");
  NewInstance();
  EXPECT_FALSE(fs::exists(directory_ / "sources" / ".making-dead"));
  // The dead one's answer comes to nobody.
  runner_.hold = false;
  runner_.Release();
  EXPECT_EQ(json::GetString(Read(schema::kFunctionKind, "f"), "status"), "CREATING");
  // Its lease holds still: nothing is claimed before it ends.
  worker_->Nudge();
  EXPECT_EQ(Count("select attempts from function_work"), 1);
  Script(*pool_, "update function_work set leased_until = now()");
  worker_->Nudge();
  json::object document = Settled();
  EXPECT_EQ(ServingFaasId(document), id);
  EXPECT_EQ(runner_.asked.size(), 2u);
}

TEST_F(Functions, WhatCannotBeNowIsTriedAgainAndNotForever) {
  MakeImage();
  Settled(schema::kImageKind, "image");
  runner_.proof = Error{Code::kUnavailable, "no room"};
  MakeFunction("one", "h1");
  ASSERT_TRUE(Until([&] { return runner_.asked.size() == 1; }));
  ASSERT_TRUE(
      Until([&] { return Count("select count(*) from function_work where owner = ''") == 1; }));
  EXPECT_EQ(json::GetString(Read(schema::kFunctionKind, "f"), "status"), "CREATING");
  Script(*pool_, "update function_work set attempts = 9, due = now()");
  worker_->Nudge();
  json::object document = Settled();
  EXPECT_EQ(json::GetString(document, "status"), "ERROR");
  EXPECT_EQ(document["reason"], json::array{"no room"});
}

// As when PostgreSQL fails: nobody waits for the lease (30 s, more than Until does) to end.
TEST_F(Functions, WhatWasNotBegunOrNotEndedIsBegunAgain) {
  auto fail = [this](const std::function<void()>& nudge) {
    Script(*pool_, "alter table entities rename to hidden");
    nudge();
    EXPECT_TRUE(Until([&] {
      return Count("select count(*) from function_work where owner = '' and attempts > 0") == 1;
    })) << "it was not given back";
    Script(*pool_, "alter table hidden rename to entities");
    Script(*pool_, "update function_work set due = now()");
    worker_->Nudge();
  };
  MakeImage();
  Settled(schema::kImageKind, "image");
  runner_.hold = true;
  MakeFunction("one", "h1");
  fail([] {});
  ASSERT_TRUE(Until([&] { return runner_.held.size() == 1; }));
  runner_.hold = false;
  fail([this] { runner_.Release(); });
  EXPECT_EQ(json::GetString(Settled(), "status"), "READY");
}

// A claim whose answer was lost is nobody's, though its row names an owner.
TEST_F(Functions, OnlyWhatIsUnderWayIsRenewed) {
  Uuid known = Uuid::Random();
  for (const Uuid& target : {known, Uuid::Random()}) {
    In([&](pg::Transaction& tx) -> Status {
      StoredEntity entity{schema::kImageKind, "acme", "i", Uuid::Random(), 0, {}};
      RETURN_IF_ERROR(AddWork(tx, entity, target));
      ASSIGN_OR_RETURN(auto claimed, ClaimWork(tx, "me", {}, 1));
      EXPECT_TRUE(claimed && claimed->target == target);
      return {};
    });
  }
  Script(*pool_, "update function_work set leased_until = now() + interval '1 s'");
  In([&](pg::Transaction& tx) { return RenewWork(tx, "me", {known}); });
  EXPECT_EQ(Count("select count(*) from function_work where leased_until > now() + '9 s'"), 1);
}

TEST_F(Functions, AnOrganisationLeavesAPlaceToOthers) {
  containers_.hold = true;
  auto make = [this](const std::string& org, int number) {
    std::string name = org + std::to_string(number);
    Make(schema::kBaseImageKind, name, {{"language", "ruby"}, {"dockerUrl", name}}, true, org);
  };
  for (int i = 0; i < 8; ++i) make("acme", i);
  ASSERT_TRUE(Until([&] { return containers_.asked.size() == 3; }));
  make("other", 0);
  ASSERT_TRUE(Until([&] { return containers_.asked.size() == 4; }));
  EXPECT_EQ(containers_.asked[3], "other0");
}

TEST_F(Functions, ASourceDoesNotWaitForBuilds) {
  if (!LanguageFault("nodejs").empty()) GTEST_SKIP() << "no nodejs";
  ToolOptions tools{.runtimes_dir = DISPATCH_TEST_RUNTIMES,
                    .first_uid = 1'700'000'000U + static_cast<uint32_t>(getpid()) * 16};
  worker_.reset();
  files_ = std::make_unique<FunctionFiles>(loop_, *pool_,
                                           FunctionFiles::Options{directory_, std::move(tools)});
  int begun = 0;
  std::string ended;
  for (int i = 0; i < 5; ++i) {
    std::string manifest = R"({"name": "b)" + std::to_string(i) +
                           R"(", "scripts": {"preinstall": "echo begun; sleep 100"},
          "optionalDependencies": {"none": "file:./none"}})";
    files_->Build(
        {"nodejs", manifest}, [&](const std::string&) { ++begun; },
        [&](Result<std::string> built) { ended = built.status().message(); });
  }
  ASSERT_TRUE(Until([&] { return begun >= 2; })) << ended;
  NextVersion next = Next("one", "h1");
  Result<std::string> source = Error{Code::kInternal, "none"};
  files_->Source(next.source_digest, [&](Result<std::string> path) { source = std::move(path); });
  EXPECT_TRUE(Until([&] { return source.ok(); }));
  EXPECT_EQ(ended, "");
}

TEST_F(Functions, FilesAreMadeAgainAndOnce) {
  NextVersion next = Next("one", "h1");
  std::vector<std::string> got;
  for (int i = 0; i < 3; ++i) {
    files_->Source(next.source_digest, [&](Result<std::string> path) {
      ASSERT_TRUE(path.ok()) << path.message();
      got.push_back(*path);
    });
  }
  ASSERT_TRUE(Until([&] { return got.size() == 3; }));
  EXPECT_EQ(got[0], got[2]);
  fs::remove_all(got[0]);
  files_->Source(next.source_digest, [&](Result<std::string> path) { got.push_back(*path); });
  ASSERT_TRUE(Until([&] { return got.size() == 4; }));
  EXPECT_TRUE(fs::exists(fs::path(got[3]) / "x.py"));
  // In use, it stays; else it goes.
  files_->Collect({next.source_digest}, Duration::zero());
  EXPECT_TRUE(fs::exists(got[3]));
  files_->Collect({}, 1h);
  EXPECT_TRUE(fs::exists(got[3]));
  files_->Collect({}, Duration::zero());
  EXPECT_FALSE(fs::exists(got[3]));
  Status missing;
  files_->Source("0123", [&](Result<std::string> path) { missing = path.status(); });
  ASSERT_TRUE(Until([&] { return !missing.ok(); }));
  EXPECT_EQ(missing.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace dispatch::function_worker_contract
