// Runs against the PostgreSQL that DISPATCH_TEST_PG_URL names; it makes and drops tables there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>

#include "common/event_loop.h"
#include "common/pg/pool.h"

// libpqxx 6.4 drops the result of a BEGIN that finds the connection lost: 2 kB each time.
extern "C" const char* __lsan_default_suppressions();  // NOLINT: the sanitizer's name
extern "C" const char* __lsan_default_suppressions() { return "leak:PQmakeEmptyPGresult\n"; }

namespace dispatch::pg::pg_contract {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Postgres : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* url = getenv("DISPATCH_TEST_PG_URL");
    if (url == nullptr) {
      GTEST_SKIP() << "set DISPATCH_TEST_PG_URL to a PostgreSQL database to run this";
    }
    options_.url = url;
    options_.connections = 3;
    pool_ = std::make_unique<Pool>(options_, loop_);
    ASSERT_TRUE(
        Script("drop table if exists dispatch_test_child, dispatch_test, dispatch_migrations, "
               "dispatch_test_m1, dispatch_test_m2; "
               "create table dispatch_test (id int primary key, t text, b bytea, n int8); "
               "create table dispatch_test_child (id int references dispatch_test)")
            .ok());
  }
  void TearDown() override {
    if (!pool_) return;
    (void)Script(
        "drop table if exists dispatch_test_child, dispatch_test, dispatch_migrations, "
        "dispatch_test_m1, dispatch_test_m2");
  }

  Status Script(const std::string& sql) {
    return pool_->RunNow([&](Transaction& tx) { return tx.ExecScript(sql); });
  }
  Status RunOn(Pool& pool, Pool::Work work, Unit unit = Unit::kTransaction) {
    std::optional<Status> slot;
    pool.Run(std::move(work), [&](Status status) { slot = std::move(status); }, unit);
    EXPECT_FALSE(slot.has_value());
    EXPECT_TRUE(loop_.RunUntil([&] { return slot.has_value(); }, 20s));
    return slot.value_or(Status(Code::kInternal, "no reply"));
  }
  Status Run(Pool::Work work) { return RunOn(*pool_, std::move(work)); }
  /// Waits until the server is at it.
  bool Runs(const std::string& statement) {
    for (int i = 0; i < 2000; ++i) {
      auto rows = Query("select 1 from pg_stat_activity where state = 'active' and query = $1",
                        {statement});
      if (rows.ok() && !rows->empty()) return true;
    }
    return false;
  }
  Result<Rows> Query(const std::string& sql, std::vector<Value> params = {}) {
    std::optional<Result<Rows>> slot;
    pool_->Query<Rows>([=](Transaction& tx) { return tx.Exec(sql, params); },
                       [&](Result<Rows> rows) { slot.emplace(std::move(rows)); });
    EXPECT_TRUE(loop_.RunUntil([&] { return slot.has_value(); }, 20s));
    return slot ? std::move(*slot) : Result<Rows>(Code::kInternal, "no reply");
  }

  EventLoop loop_;
  PoolOptions options_;
  std::unique_ptr<Pool> pool_;
};

TEST_F(Postgres, WritesAndReadsEveryKindOfValue) {
  std::string bytes("\0\x01\xff\\x'", 6);
  auto insert = Query("insert into dispatch_test values ($1, $2, $3, $4)",
                      {"1", "it's \"q\" \\ {,}", EncodeBytea(bytes), std::nullopt});
  ASSERT_TRUE(insert.ok()) << insert.message();
  EXPECT_EQ(insert->affected(), 1u);
  auto rows = Query("select id, t, b, n, true from dispatch_test where id = $1", {"1"});
  ASSERT_TRUE(rows.ok()) << rows.message();
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].Int(0), 1);
  EXPECT_EQ((*rows)[0].Text(1), "it's \"q\" \\ {,}");
  EXPECT_EQ((*rows)[0].Bytes(2), bytes);
  EXPECT_TRUE((*rows)[0].IsNull(3));
  EXPECT_TRUE((*rows)[0].Bool(4));
  EXPECT_TRUE(Query("select 1 where false")->empty());
}

TEST_F(Postgres, UnnestsArrays) {
  std::vector<Value> texts = {"plain", "NULL", "a,b", "q\"\\", "", std::nullopt, "{x}"};
  std::vector<Value> blobs;
  for (size_t i = 0; i < texts.size(); ++i) blobs.push_back(EncodeBytea(std::string(i, '\0')));
  auto rows = Query(
      "select t, b from unnest($1::text[], $2::bytea[]) with ordinality as u(t, b, o) "
      "order by o",
      {EncodeArray(texts), EncodeArray(blobs)});
  ASSERT_TRUE(rows.ok()) << rows.message();
  ASSERT_EQ(rows->size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ((*rows)[i].IsNull(0), !texts[i].has_value());
    EXPECT_EQ((*rows)[i].Text(0), texts[i].value_or(""));
    EXPECT_EQ((*rows)[i].Bytes(1), std::string(i, '\0'));
  }
  EXPECT_EQ(
      Query("select count(*) from unnest($1::int8[])", {EncodeArray({})})->operator[](0).Int(0), 0);
}

TEST_F(Postgres, NamesTheCauseOfAnError) {
  ASSERT_TRUE(Query("insert into dispatch_test values (1)").ok());
  EXPECT_EQ(Query("insert into dispatch_test values (1)").code(), Code::kAlreadyExists);
  EXPECT_EQ(Query("insert into dispatch_test_child values (7)").code(), Code::kConflict);
  EXPECT_EQ(Query("selekt").code(), Code::kInternal);
  EXPECT_EQ(Query("select $1", {std::string("a\0b", 3)}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(Query("select 1").ok());
}

TEST_F(Postgres, AnErrorRollsBackAllOfTheTransaction) {
  auto status = Run([](Transaction& tx) -> Status {
    RETURN_IF_ERROR(tx.Exec("insert into dispatch_test values (5)"));
    return {Code::kPreconditionFailed, "no"};
  });
  EXPECT_EQ(status.code(), Code::kPreconditionFailed);
  // A closure that swallows an error does not commit half of its work.
  status = Run([](Transaction& tx) -> Status {
    RETURN_IF_ERROR(tx.Exec("insert into dispatch_test values (6)"));
    (void)tx.Exec("selekt");
    return OkStatus();
  });
  EXPECT_EQ(status.code(), Code::kInternal);
  status = Run([](Transaction&) -> Status { throw std::runtime_error("oops"); });
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_EQ((*Query("select count(*) from dispatch_test"))[0].Int(0), 0);
}

TEST_F(Postgres, TriesSerializationFailuresAgain) {
  ASSERT_TRUE(Query("insert into dispatch_test (id, n) values (1, 0)").ok());
  int done = 0, finished = 0;
  std::atomic<int> runs = 0;
  for (int i = 0; i < 20; ++i) {
    pool_->Run(
        [&runs](Transaction& tx) -> Status {
          ++runs;
          RETURN_IF_ERROR(tx.ExecScript("set transaction isolation level repeatable read"));
          ASSIGN_OR_RETURN(Rows rows, tx.Exec("select n from dispatch_test where id = 1"));
          RETURN_IF_ERROR(tx.ExecScript("select pg_sleep(0.002)"));
          return tx
              .Exec("update dispatch_test set n = $1 where id = 1",
                    {std::to_string(rows[0].Int(0) + 1)})
              .status();
        },
        [&](Status status) {
          ++finished;
          done += status.ok();
          EXPECT_TRUE(status.ok() || status.error().retryable) << status.message();
        });
  }
  ASSERT_TRUE(loop_.RunUntil([&] { return finished == 20; }, 20s));
  EXPECT_EQ((*Query("select n from dispatch_test"))[0].Int(0), done);
  EXPECT_GT(done, 0);
  EXPECT_GT(runs.load(), 20);
}

TEST_F(Postgres, ResolvesDeadlocks) {
  ASSERT_TRUE(Query("insert into dispatch_test (id, n) values (1, 0), (2, 0)").ok());
  ASSERT_TRUE(Script("set deadlock_timeout = '10ms'").ok());
  int good = 0;
  auto both = [&](const char* first, const char* second) {
    pool_->Run(
        [=](Transaction& tx) -> Status {
          RETURN_IF_ERROR(tx.Exec("update dispatch_test set n = n + 1 where id = $1", {first}));
          RETURN_IF_ERROR(tx.ExecScript("select pg_sleep(0.05)"));
          return tx.Exec("update dispatch_test set n = n + 1 where id = $1", {second}).status();
        },
        [&](Status status) {
          EXPECT_TRUE(status.ok()) << status.message();
          ++good;
        });
  };
  both("1", "2");
  both("2", "1");
  ASSERT_TRUE(loop_.RunUntil([&] { return good == 2; }, 20s));
  EXPECT_EQ((*Query("select sum(n) from dispatch_test"))[0].Int(0), 4);
}

TEST_F(Postgres, OpensALostConnectionAgain) {
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Query("select 1").ok());
  ASSERT_TRUE(Script("select pg_terminate_backend(pid) from pg_stat_activity "
                     "where pid <> pg_backend_pid() and application_name = 'dispatch'")
                  .ok());
  for (int i = 0; i < 6; ++i) {
    auto rows = Query("select 1");
    EXPECT_TRUE(rows.ok()) << rows.message();
  }
}

TEST_F(Postgres, AStatementNeedsNoTransaction) {
  auto insert = [](Transaction& tx, int id) {
    return tx.Exec("insert into dispatch_test (id) values ($1)", {std::to_string(id)}).status();
  };
  auto run = [&](Pool::Work work) { return RunOn(*pool_, std::move(work), Unit::kStatement); };
  EXPECT_TRUE(run([&](Transaction& tx) { return insert(tx, 1); }).ok());
  EXPECT_EQ(run([&](Transaction& tx) { return insert(tx, 1); }).code(), Code::kAlreadyExists);

  auto refused = run([&](Transaction& tx) -> Status {
    RETURN_IF_ERROR(insert(tx, 2));
    return insert(tx, 3);
  });
  EXPECT_EQ(refused.code(), Code::kInternal) << refused.message();
  auto rows = Query("select id from dispatch_test order by id");
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 2u) << "the first statement stands";
  EXPECT_EQ((*rows)[1].Int(0), 2);
}

TEST_F(Postgres, ALostConnectionCostsAStatementNothing) {
  ASSERT_TRUE(Query("select 1").ok());
  ASSERT_TRUE(Script("select pg_terminate_backend(pid) from pg_stat_activity "
                     "where pid <> pg_backend_pid() and application_name = 'dispatch'")
                  .ok());
  auto done =
      RunOn(*pool_, [](Transaction& tx) { return tx.Exec("select 1").status(); }, Unit::kStatement);
  EXPECT_TRUE(done.ok()) << done.message();
}

TEST_F(Postgres, StatementsTimeOut) {
  options_.statement_timeout = 50ms;
  Pool pool(options_, loop_);
  auto status =
      RunOn(pool, [](Transaction& tx) { return tx.Exec("select pg_sleep(10)").status(); });
  EXPECT_EQ(status.code(), Code::kDeadlineExceeded) << status.message();
  EXPECT_TRUE(RunOn(pool, [](Transaction& tx) { return tx.Exec("select 1").status(); }).ok());
}

TEST_F(Postgres, AnAbsentServerIsUnavailableAtOnce) {
  PoolOptions options;
  options.url = "postgresql://nobody@127.0.0.1:1/none";
  Pool pool(options, loop_);
  auto select = [](Transaction& tx) { return tx.Exec("select 1").status(); };
  for (int i = 0; i < 3; ++i) {
    auto status = RunOn(pool, select);
    EXPECT_EQ(status.code(), Code::kUnavailable);
    EXPECT_TRUE(status.error().retryable);
    EXPECT_THAT(status.message(), HasSubstr("pg-url"));
  }
}

TEST_F(Postgres, HasAsManyConnectionsAsAreNeeded) {
  options_.application_name = "as-needed";
  options_.connections_keep = 200ms;
  Pool pool(options_, loop_);
  auto open = [&] {
    auto rows = Query("select count(*) from pg_stat_activity where application_name = 'as-needed'");
    return rows.ok() ? (*rows)[0].Int(0) : -1;
  };
  auto use = [&] {
    return RunOn(pool, [](Transaction& tx) { return tx.Exec("select 1").status(); });
  };
  ASSERT_TRUE(use().ok());
  ASSERT_TRUE(use().ok());
  EXPECT_EQ(open(), 1);
  int done = 0;
  for (int i = 0; i < 6; ++i) {
    pool.Run([](Transaction& tx) { return tx.Exec("select pg_sleep(0.1)").status(); },
             [&](Status status) { done += status.ok(); });
  }
  ASSERT_TRUE(loop_.RunUntil([&] { return done == 6; }, 20s));
  EXPECT_EQ(open(), 3);
  // Used by one at a time, the others go; what comes at once has them again.
  auto limit = loop_.Steady() + 20s;
  while (open() > 1 && loop_.Steady() < limit) ASSERT_TRUE(use().ok());
  EXPECT_EQ(open(), 1);
}

TEST_F(Postgres, RefusesWorkOverTheQueue) {
  options_.connections = 1;
  options_.max_queue = 2;
  Pool pool(options_, loop_);
  int refused = 0, done = 0;
  for (int i = 0; i < 10; ++i) {
    pool.Run([](Transaction& tx) { return tx.Exec("select pg_sleep(0.05)").status(); },
             [&](Status status) {
               ++done;
               refused += status.code() == Code::kResourceExhausted;
             });
  }
  ASSERT_TRUE(loop_.RunUntil([&] { return done == 10; }, 20s));
  EXPECT_GE(refused, 7);
}

TEST_F(Postgres, WhatWaitedTooLongIsNotBegun) {
  options_.connections = 1;
  options_.queue_timeout = 50ms;
  Pool pool(options_, loop_);
  int good = 0, late = 0;
  auto done = [&](Status status) { status.code() == Code::kUnavailable ? ++late : ++good; };
  pool.Run([](Transaction& tx) { return tx.Exec("select pg_sleep(0.3)").status(); }, done);
  bool begun = false;
  pool.Run([](Transaction& tx) { return tx.Exec("select 1").status(); }, done);
  loop_.After(100ms, [&] {
    begun = true;
    pool.Run([](Transaction& tx) { return tx.Exec("select 1").status(); }, done);
  });
  // The second is told when the third comes, while the first still runs.
  ASSERT_TRUE(loop_.RunUntil([&] { return begun && late == 1; }, 20s));
  EXPECT_EQ(good, 0);
  ASSERT_TRUE(loop_.RunUntil([&] { return good + late == 3; }, 20s));
  EXPECT_EQ(late, 2);
}

TEST_F(Postgres, ItsEndFinishesOrCancelsWhatWaits) {
  options_.connections = 1;
  auto pool = std::make_unique<Pool>(options_, loop_);
  int good = 0, cancelled = 0;
  for (int i = 0; i < 5; ++i) {
    pool->Run([](Transaction& tx) { return tx.Exec("select pg_sleep(0.02)").status(); },
              [&](Status status) { status.ok() ? ++good : ++cancelled; });
  }
  pool.reset();
  ASSERT_TRUE(loop_.RunUntil([&] { return good + cancelled == 5; }, 20s));
  EXPECT_GE(cancelled, 4);
}

TEST_F(Postgres, ItsEndDoesNotWaitForAServerThatHangs) {
  options_.stop_wait = 100ms;
  std::optional<Pool> pool(std::in_place, options_, loop_);
  std::optional<Status> status;
  pool->Run([](Transaction& tx) { return tx.Exec("select pg_sleep(25)").status(); },
            [&](Status s) { status = std::move(s); });
  ASSERT_TRUE(Runs("select pg_sleep(25)"));
  auto begun = SystemClock().Steady();
  pool.reset();
  EXPECT_LT(SystemClock().Steady() - begun, 5s);
  ASSERT_TRUE(loop_.RunUntil([&] { return status.has_value(); }, 5s));
  EXPECT_FALSE(status->ok());
}

TEST_F(Postgres, MigratingLeavesTheLoopAlone) {
  Pool other(options_, loop_);
  bool held = true;
  other.Run(
      [](Transaction& tx) -> Status {
        RETURN_IF_ERROR(tx.Exec("select pg_advisory_xact_lock(7235419283746512)"));
        return tx.Exec("select pg_sleep(1.5)").status();
      },
      [&](const Status&) { held = false; });
  ASSERT_TRUE(Runs("select pg_sleep(1.5)"));
  std::optional<Status> migrated;
  MigrateWhenUp(loop_, *pool_, {{1, "one", "create table dispatch_test_m1 (id int)"}},
                [&](Status status) { migrated = std::move(status); });
  int turns = 0;
  std::function<void()> turn = [&] {
    ++turns;
    loop_.After(10ms, turn);
  };
  turn();
  ASSERT_TRUE(loop_.RunUntil([&] { return !held; }, 20s));
  EXPECT_GT(turns, 20) << "while somebody had the lock";
  ASSERT_TRUE(loop_.RunUntil([&] { return migrated.has_value(); }, 20s));
  EXPECT_TRUE(migrated->ok()) << migrated->message();
  EXPECT_TRUE(Query("select * from dispatch_test_m1").ok());
}

TEST_F(Postgres, MigratesOnceAndInOrder) {
  std::vector<Migration> migrations = {
      {2, "second",
       "alter table dispatch_test_m1 add column v int; create table dispatch_test_m2 ()"},
      {1, "first", "create table dispatch_test_m1 (id int)"}};
  auto status = Migrate(*pool_, {migrations[1]});
  ASSERT_TRUE(status.ok()) << status.message();
  status = Migrate(*pool_, migrations);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(Migrate(*pool_, migrations).ok());
  EXPECT_TRUE(Query("select v from dispatch_test_m1").ok());
  EXPECT_EQ((*Query("select count(*) from dispatch_migrations"))[0].Int(0), 2);
  // A database that is newer, or was made otherwise.
  EXPECT_EQ(Migrate(*pool_, {migrations[1]}).code(), Code::kConflict);
  migrations[1].sql += " ";
  EXPECT_EQ(Migrate(*pool_, migrations).code(), Code::kConflict);
}

TEST_F(Postgres, AFailedMigrationLeavesNothing) {
  auto status = Migrate(*pool_, {{1, "bad", "create table dispatch_test_m1 (id int); selekt"}});
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("migration 1 'bad'"));
  EXPECT_FALSE(Query("select * from dispatch_test_m1").ok());
}

}  // namespace
}  // namespace dispatch::pg::pg_contract
