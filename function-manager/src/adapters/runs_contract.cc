// Runs in PostgreSQL: against the one that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gtest/gtest.h>

#include <map>

#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "function-manager/src/adapters/function_sender.h"
#include "function-manager/src/adapters/run_rows.h"
#include "function-manager/src/domain/function_event.h"
#include "schema/cloudevents.h"

namespace dispatch::runs_contract {
namespace {

using namespace std::chrono_literals;

class Functions : public FunctionCatalog {
 public:
  void Find(const std::string& org, const std::string& name, Done done) override {
    if (name != "hello") return done(Error{Code::kNotFound, "function " + name + " is not READY"});
    ReadyFunction ready;
    ready.uuid = Uuid::Random();
    ready.version = std::make_shared<FunctionVersion>(
        FunctionVersion{.id = Uuid::Random(), .org = org, .name = name});
    done(std::make_shared<const ReadyFunction>(ready));
  }
};

class OneAnswer : public Runner {
 public:
  void Prove(VersionPtr, std::function<void(Status)> done) override { done({}); }
  void Run(VersionPtr, RunInput, std::function<void(RunOutcome)> done) override { done(answer); }
  void Retire(const Uuid&) override {}
  RunOutcome answer;
};

class Nobody : public Sender {
 public:
  void Send(SendRequest, std::function<void(Answer)> done) override { done({.status = 299}); }
};

class Runs : public pg::testing::OwnSchema {
 protected:
  Runs() : OwnSchema("runs_contract") {}
  void SetUp() override {
    OwnSchema::SetUp();
    if (!IsSkipped()) Migrate(Migrations());
  }
  template <typename T>
  Result<T> In(std::function<Result<T>(pg::Transaction&)> work) {
    std::optional<Result<T>> slot;
    pool_->Query<T>(std::move(work), [&](Result<T> result) { slot.emplace(std::move(result)); });
    EXPECT_TRUE(loop_.RunUntil([&] { return slot.has_value(); }, 20s));
    return std::move(*slot);
  }
  bool Done(std::function<Status(pg::Transaction&)> work) {
    return In<int>([work](pg::Transaction& tx) -> Result<int> {
             RETURN_IF_ERROR(work(tx));
             return 0;
           })
        .ok();
  }
  dispatch::Run Waiting(const std::string& function) {
    dispatch::Run run;
    run.id = Uuid::V7(loop_.Now());
    run.org = "acme";
    run.function = function;
    run.function_id = Uuid::Random();
    run.executed_us = ToMicros(loop_.Now());
    EXPECT_TRUE(Done([run](pg::Transaction& tx) { return InsertRuns(tx, {&run}); }));
    return run;
  }
  std::vector<ClaimedRun> Claim(const Uuid& owner, std::vector<std::string> busy = {},
                                std::vector<Uuid> running = {}) {
    return *In<std::vector<ClaimedRun>>(
        [=](pg::Transaction& tx) { return ClaimRuns(tx, owner, 10, busy, running); });
  }
  Answer Sent(FunctionSender& sender, const std::string& url) {
    cloudevents::Event event;
    event.attributes = {{"specversion", "1.0"}, {"id", "7"}, {"source", "/s"}, {"type", "t"}};
    SendRequest request;
    request.org = "acme";
    request.sink.url = url;
    request.event = std::make_shared<const schema::EventData>(cloudevents::ToKafka(event));
    std::optional<Answer> got;
    sender.Send(request, [&](Answer answer) { got = std::move(answer); });
    EXPECT_TRUE(url[0] == 'h' || !got.has_value());  // never inside Send
    EXPECT_TRUE(loop_.RunUntil([&] { return got.has_value(); }, 20s));
    return got.value_or(Answer{});
  }
};

TEST_F(Runs, APageHasWhatAReplyHolds) {
  std::vector<Uuid> made;
  for (size_t size : {100, 900'000, 900'000, 500'000, 3'000'000, 100, 200}) {
    dispatch::Run run;
    run.id = Uuid::V7(loop_.Now());
    run.org = "acme";
    run.function = "large";
    run.executed_us = 1'000 + static_cast<int64_t>(made.size());
    run.request.input = std::string(size, 'x');
    made.push_back(run.id);
    EXPECT_TRUE(Done([&](pg::Transaction& tx) { return InsertRuns(tx, {&run}); }));
  }
  std::reverse(made.begin(), made.end());
  auto sizes = [&](size_t limit) {
    RunQuery query{.org = "acme", .function = "large", .limit = limit};
    std::vector<size_t> pages;
    std::vector<Uuid> seen;
    do {
      auto page = *In<RunPage>([&](pg::Transaction& tx) { return ListRuns(tx, query); });
      for (const auto& run : page.runs) seen.push_back(run.id);
      pages.push_back(page.runs.size());
      query.before = page.next;
    } while (!query.before.empty());
    EXPECT_EQ(seen, made);
    return pages;
  };
  EXPECT_EQ(sizes(0), (std::vector<size_t>{2, 1, 2, 2}));
  EXPECT_EQ(sizes(1), std::vector<size_t>(7, 1));
}

TEST_F(Runs, ChangesAreToldOnceEach) {
  auto changes = [this](RunQuery query, std::optional<RunCursor> after) {
    query.org = "acme";
    return *In<RunChanges>([=](pg::Transaction& tx) { return ListRunChanges(tx, query, after); });
  };
  auto names = [](const RunChanges& told) {
    std::vector<std::string> out;
    for (const auto& run : told.runs) out.push_back(run.function + " " + run.status);
    return out;
  };
  using Names = std::vector<std::string>;
  auto before = Waiting("early");
  auto start = changes({}, std::nullopt);
  EXPECT_TRUE(start.runs.empty());
  auto run = Waiting("hello");
  auto first = changes({}, start.next);
  EXPECT_EQ(names(first), Names{"hello INITIALIZED"});
  EXPECT_TRUE(changes({}, first.next).runs.empty());
  EXPECT_EQ(names(changes({.function = "early"}, start.next)), Names{});
  EXPECT_EQ(names(changes({.since_us = before.executed_us}, std::nullopt)),
            (Names{"early INITIALIZED", "hello INITIALIZED"}));

  // An end is told to who was told of the beginning, with its error and without what it printed.
  auto middle = changes({}, first.next);
  Uuid owner = Uuid::Random();
  for (auto& claimed : Claim(owner)) {
    if (claimed.run.id != run.id) continue;
    RunOutcome outcome;
    outcome.out = {"a line"};
    outcome.error = RunError{kInputError, "no name", {}};
    claimed.run.Finish(outcome, ToMicros(loop_.Now()));
    ASSERT_TRUE(
        Done([&](pg::Transaction& tx) { return FinishRun(tx, owner, claimed.run).status(); }));
  }
  auto ended = changes({.status = "ERROR"}, middle.next);
  ASSERT_EQ(names(ended), Names{"hello ERROR"});
  EXPECT_EQ(ended.runs[0].outcome.error->message, "no name");
  EXPECT_TRUE(ended.runs[0].outcome.out.empty());

  // What another transaction wrote before, but ends after the look, comes with the next one.
  auto cursor = RunCursor::Parse(ended.next.Text());
  ASSERT_TRUE(cursor.ok());
  EXPECT_EQ(cursor->xid, ended.next.xid);
  EXPECT_FALSE(RunCursor::Parse("12").ok());
  EXPECT_FALSE(RunCursor::Parse("a.b").ok());
  // A cursor of a database that was there before says the time only.
  auto restored = changes({.status = "ERROR"}, RunCursor{ended.next.time_us, int64_t{1} << 40});
  EXPECT_EQ(names(restored), Names{"hello ERROR"});
}

TEST_F(Runs, AnInputWithANulDoesNotSpoilTheList) {
  for (char input : {'x', '\0'}) {
    dispatch::Run run;
    run.id = Uuid::V7(loop_.Now());
    run.org = "acme";
    run.function = "nul";
    run.request.input = std::string(1, input);
    run.request.tags = {{{"key", "colour"}, {"value", "red"}}};
    ASSERT_TRUE(Done([&](pg::Transaction& tx) { return InsertRuns(tx, {&run}); }));
  }
  RunQuery query{.org = "acme", .function = "nul"};
  query.tags = {{{"key", "colour"}, {"value", "red"}}};
  auto page = In<RunPage>([&](pg::Transaction& tx) { return ListRuns(tx, query); });
  ASSERT_TRUE(page.ok()) << page.message();
  EXPECT_EQ(page->runs.size(), 2u);
  query.since_us = 1;
  EXPECT_TRUE(In<RunChanges>([&](pg::Transaction& tx) {
                return ListRunChanges(tx, query, std::nullopt);
              }).ok());
}

TEST_F(Runs, AreOnesOfOneOwnerUntilTheLeaseEnds) {
  auto run = Waiting("hello");
  Uuid first = Uuid::Random();
  Uuid second = Uuid::Random();
  EXPECT_TRUE(Claim(first, {"acme/hello"}).empty());
  auto claimed = Claim(first);
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].run.id, run.id);
  EXPECT_EQ(claimed[0].attempt, 1);
  EXPECT_TRUE(Claim(second).empty());
  EXPECT_TRUE(Done([](pg::Transaction& tx) {
    return tx.Exec("update runs set lease_us = 0").status();  // 30 s later
  }));
  EXPECT_TRUE(Claim(first, {}, {run.id}).empty()) << "it runs here, only its lease ended";
  claimed = Claim(second);
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].attempt, 2);
  EXPECT_TRUE(Done([&](pg::Transaction& tx) { return GiveBackRun(tx, second, run.id); }));
  claimed = Claim(second);
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].attempt, 2) << "an instance that stops does not count";
  // The first one comes back from wherever it was: what it says no longer counts.
  claimed[0].run.Finish({}, 5);
  auto finish = [&](const Uuid& owner) {
    return *In<bool>([owner, ended = claimed[0].run](pg::Transaction& tx) {
      return FinishRun(tx, owner, ended);
    });
  };
  EXPECT_FALSE(finish(first));
  EXPECT_TRUE(finish(second));
  EXPECT_FALSE(finish(second));
  auto kept =
      In<dispatch::Run>([&](pg::Transaction& tx) { return FindRun(tx, "acme", run.id, "hello"); });
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->status, kRunDone);
  EXPECT_FALSE(In<dispatch::Run>([&](pg::Transaction& tx) {
                 return FindRun(tx, "other", run.id, "");
               }).ok());
}

TEST_F(Runs, GivenBackWaitTheirTime) {
  auto run = Waiting("hello");
  Uuid owner = Uuid::Random();
  ASSERT_EQ(Claim(owner).size(), 1u);
  EXPECT_TRUE(Done([&](pg::Transaction& tx) { return ReleaseRun(tx, owner, run.id, 1h); }));
  EXPECT_TRUE(Claim(owner).empty());
}

TEST_F(Runs, AreForgottenAfterTheirTime) {
  auto old = Waiting("hello");
  old.Finish({}, 1'000);
  old.id = Uuid::Random();
  auto open = Waiting("hello");
  EXPECT_TRUE(Done([&](pg::Transaction& tx) { return InsertRuns(tx, {&old}); }));
  EXPECT_EQ(*In<size_t>([](pg::Transaction& tx) { return ForgetRuns(tx, 2'000, 10); }), 1u);
  EXPECT_TRUE(In<dispatch::Run>([&](pg::Transaction& tx) {
                return FindRun(tx, "acme", open.id, "");
              }).ok());
}

TEST_F(Runs, WrittenTogetherFailAlone) {
  RunWriter writer(*pool_);
  std::map<std::string, bool> stored;
  auto write = [&](const std::string& function, const Uuid& id) {
    dispatch::Run run;
    run.id = id;
    run.org = "acme";
    run.function = function;
    run.executed_us = ToMicros(loop_.Now());
    writer.Write(run,
                 [&stored, function](const Status& status) { stored[function] = status.ok(); });
  };
  Uuid twice = Uuid::Random();
  write("first", twice);  // alone under way, while the others gather
  for (int i = 0; i < 600; ++i) write("f" + std::to_string(i), Uuid::Random());
  write("again", twice);
  EXPECT_TRUE(stored.empty()) << "never inside the call";
  bool flushed = false;
  writer.Flush([&] { flushed = true; });
  EXPECT_TRUE(loop_.RunUntil([&] { return flushed; }, 20s));
  EXPECT_EQ(stored.size(), 602u);
  for (const auto& [function, ok] : stored) EXPECT_EQ(ok, function != "again") << function;
  auto count = In<int64_t>([](pg::Transaction& tx) -> Result<int64_t> {
    ASSIGN_OR_RETURN(auto rows, tx.Exec("select count(*) from runs where org = 'acme'"));
    return rows[0].Int(0);
  });
  EXPECT_EQ(*count, 601);
}

TEST_F(Runs, DeliveriesToFunctionsAreKeptAndAnswered) {
  Functions functions;
  OneAnswer runner;
  Nobody others;
  RunExecution execution(
      runner, [](const auto&, const auto&, auto done) { done(Error{Code::kNotFound, "none"}); });
  RunWriter writer(*pool_);
  FunctionSender sender(loop_, writer, functions, execution, others);
  EXPECT_EQ(Sent(sender, "http://example.com").status, 299);
  EXPECT_EQ(Sent(sender, FunctionUrl("acme", "none")).failure, "not-ready");
  EXPECT_EQ(Sent(sender, FunctionUrl("acme", "hello")).status, 200);
  runner.answer.error = RunError{kInputError, "bad", {}};
  EXPECT_EQ(Sent(sender, FunctionUrl("acme", "hello")).status, 422);
  bool flushed = false;
  writer.Flush([&] { flushed = true; });
  EXPECT_TRUE(loop_.RunUntil([&] { return flushed; }, 20s));
  auto page = In<RunPage>([](pg::Transaction& tx) {
    RunQuery query;
    query.org = "acme";
    query.function = "hello";
    return ListRuns(tx, query);
  });
  ASSERT_TRUE(page.ok()) << page.message();
  ASSERT_EQ(page->runs.size(), 2u);
  EXPECT_EQ(page->runs[0].status, kRunFailed);
  EXPECT_EQ(page->runs[1].status, kRunDone);
  EXPECT_EQ(json::GetString(page->runs[1].request.event.as_object(), "eventID"), "7");
}

}  // namespace
}  // namespace dispatch::runs_contract
