// Runs against the PostgreSQL that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker-adapters/memory/memory_broker.h"
#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "event-manager/src/adapters/drivers/driver_seat.h"
#include "event-manager/src/adapters/drivers/driver_store.h"
#include "schema/objects.h"

namespace dispatch::driver_store_contract {
namespace {

using namespace std::chrono_literals;

class DriverLeases : public pg::testing::OwnSchema {
 protected:
  DriverLeases() : OwnSchema("driver_leases") {}

  void SetUp() override {
    OwnSchema::SetUp();
    if (IsSkipped()) return;
    Migrate(Migrations());
  }

  StoredEntity Make(const std::string& name) {
    StoredEntity driver{
        schema::kDriverKind,
        "acme",
        name,
        Uuid::Random(),
        0,
        {{"name", name}, {"status", "CREATING"}, {"secrets", json::array{"s"}}},
    };
    Run([&](pg::Transaction& tx) -> Status {
      RETURN_IF_ERROR(EntityStore(tx).Insert(driver));
      return DriverStore::Put(tx, driver);
    });
    return driver;
  }
  void Run(const pg::Pool::Work& work) {
    auto status = pool_->RunNow(work);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  // Waits for the answer of something that is done on the pool.
  template <typename T>
  T Await(const std::function<void(std::function<void(T)>)>& begin) {
    std::optional<T> answer;
    begin([&](T value) { answer = std::move(value); });
    EXPECT_TRUE(loop_.RunUntil([&] { return answer.has_value(); }, 10s));
    return std::move(*answer);
  }
  std::vector<ClaimedDriver> Turn(DriverStore& store, int claims = 8) {
    auto owned = Await<Result<std::vector<ClaimedDriver>>>(
        [&](auto done) { store.Turn(claims, std::move(done)); });
    EXPECT_TRUE(owned.ok()) << owned.message();
    return owned.ok() ? *owned : std::vector<ClaimedDriver>{};
  }
  Status Save(DriverStore& store, const ClaimedDriver& driver, const char* position) {
    return Await<Status>([&](auto done) {
      store.SavePosition(driver.uuid, driver.epoch, json::ParseObject(position).value(),
                         std::move(done));
    });
  }
  Result<bool> Tell(DriverStore& store, const ClaimedDriver& driver, const char* status) {
    return Await<Result<bool>>(
        [&](auto done) { store.SetStatus(driver, status, "because", std::move(done)); });
  }
  // As if the owner had not been heard of for too long.
  void Expire() {
    Run([](pg::Transaction& tx) {
      return tx.Exec("update driver_runs set expires_at = now() - interval '1 ms'").status();
    });
  }

  broker::MemoryCluster kafka_{loop_, 1};
  std::unique_ptr<broker::Broker> broker_ = kafka_.Connect("test");
  std::unique_ptr<broker::Producer> producer_ = broker_->NewProducer({});
};

TEST_F(DriverLeases, OneOwnerAtATimeHasADriver) {
  Make("a");
  DriverStore first(*pool_, "first", 60s);
  DriverStore second(*pool_, "second", 60s);
  ASSERT_EQ(Turn(first).size(), 1);
  EXPECT_TRUE(Turn(second).empty());
  auto again = Turn(first);
  ASSERT_EQ(again.size(), 1);
  EXPECT_EQ(again[0].epoch, 1);
}

TEST_F(DriverLeases, AfterItsEndAnotherTakesOverWhereItStood) {
  Make("a");
  DriverStore first(*pool_, "first", 60s);
  DriverStore second(*pool_, "second", 60s);
  auto before = Turn(first);
  ASSERT_EQ(before.size(), 1);
  ASSERT_TRUE(Save(first, before[0], R"({"last": 7})").ok());
  Expire();
  auto after = Turn(second);
  ASSERT_EQ(after.size(), 1);
  EXPECT_EQ(after[0].epoch, before[0].epoch + 1);
  EXPECT_EQ(json::GetInt(after[0].position, "last"), 7);
  EXPECT_TRUE(Turn(first).empty());
}

TEST_F(DriverLeases, AnOlderEpochWritesNothing) {
  StoredEntity made = Make("a");
  DriverStore first(*pool_, "first", 60s);
  DriverStore second(*pool_, "second", 60s);
  auto before = Turn(first);
  ASSERT_EQ(before.size(), 1);
  Expire();
  // Nor does the owner itself, once the lease is over and nobody took it.
  EXPECT_EQ(Save(first, before[0], R"({"last": 1})").code(), Code::kFenced);
  EXPECT_EQ(Tell(first, before[0], "READY").code(), Code::kFenced);
  auto after = Turn(second);
  ASSERT_EQ(after.size(), 1);
  EXPECT_EQ(Save(first, before[0], R"({"last": 1})").code(), Code::kFenced);
  EXPECT_TRUE(Save(second, after[0], R"({"last": 2})").ok());
  EXPECT_EQ(Tell(first, before[0], "ERROR").code(), Code::kFenced);
  EXPECT_TRUE(Tell(second, after[0], "READY").value());
  EXPECT_FALSE(Tell(second, after[0], "READY").value());
}

TEST_F(DriverLeases, AChangeOutdatesWhatIsSaidOfTheOneBefore) {
  StoredEntity made = Make("a");
  DriverStore store(*pool_, "first", 60s);
  auto before = Turn(store);
  ASSERT_EQ(before.size(), 1);
  Run([&](pg::Transaction& tx) { return DriverStore::Put(tx, made); });
  EXPECT_EQ(Tell(store, before[0], "READY").code(), Code::kFenced);
  auto after = Turn(store);
  ASSERT_EQ(after.size(), 1);
  EXPECT_EQ(after[0].epoch, before[0].epoch);
  EXPECT_EQ(after[0].revision, before[0].revision + 1);
  EXPECT_TRUE(Tell(store, after[0], "READY").value());
}

TEST_F(DriverLeases, AreSharedAFewAtATimeAndGivenBack) {
  for (const char* name : {"a", "b", "c"}) Make(name);
  DriverStore first(*pool_, "first", 60s);
  DriverStore second(*pool_, "second", 60s);
  EXPECT_EQ(Turn(first, 2).size(), 2);
  EXPECT_EQ(Turn(second, 2).size(), 1);
  bool released = false;
  first.ReleaseAll([&] { released = true; });
  ASSERT_TRUE(loop_.RunUntil([&] { return released; }, 10s));
  EXPECT_EQ(Turn(second).size(), 3);
}

TEST_F(DriverLeases, ADeletedDriverIsNobodysAndHasNoLog) {
  StoredEntity made = Make("a");
  DriverStore store(*pool_, "first", 60s);
  auto owned = Turn(store);
  ASSERT_EQ(owned.size(), 1);
  Run([&](pg::Transaction& tx) -> Status {
    ASSIGN_OR_RETURN(auto stored, EntityStore(tx).Lock(schema::kDriverKind, "acme", "a"));
    RETURN_IF_ERROR(EntityStore(tx).Delete(stored, std::nullopt));
    return DriverStore::Remove(tx, stored.uuid);
  });
  EXPECT_TRUE(Turn(store).empty());
  EXPECT_EQ(Save(store, owned[0], "{}").code(), Code::kFenced);
}

TEST_F(DriverLeases, OnlyTheNewestLinesOfALogAreKept) {
  StoredEntity made = Make("a");
  DriverStore store(*pool_, "first", 60s);
  auto owned = Turn(store);
  ASSERT_EQ(owned.size(), 1);
  for (int batch = 0; batch < 12; ++batch) {
    std::vector<DriverLine> lines;
    for (int i = 0; i < 100; ++i) {
      lines.push_back({1'700'000'000'000, "stdout", "line " + std::to_string(batch * 100 + i)});
    }
    auto status = Await<Status>([&](auto done) {
      store.AppendLog(made.uuid, owned[0].epoch, std::move(lines), std::move(done));
    });
    ASSERT_TRUE(status.ok()) << status.message();
  }
  Run([&](pg::Transaction& tx) -> Status {
    ASSIGN_OR_RETURN(auto all, DriverStore::ReadLog(tx, made.uuid, 0, 5'000));
    EXPECT_EQ(all.size(), kKeptDriverLines);
    EXPECT_EQ(all.front().line, "line 200");
    EXPECT_EQ(all.back().line, "line 1199");
    EXPECT_EQ(all.back().at_ms, 1'700'000'000'000);
    ASSIGN_OR_RETURN(auto last, DriverStore::ReadLog(tx, made.uuid, 0, 2));
    EXPECT_EQ(last.front().line, "line 1198");
    ASSIGN_OR_RETURN(auto none, DriverStore::ReadLog(tx, made.uuid, 1'700'000'000'000, 10));
    EXPECT_TRUE(none.empty());
    return {};
  });
}

TEST_F(DriverLeases, ASeatTellsAReasonWhateverItsBytes) {
  const std::vector<std::pair<std::string, std::string>> reasons{
      {"m\xfc\xdf ist es", "m?? ist es"},
      {std::string(999, 'x') + "ß", std::string(999, 'x')},
      {std::string("a\0b", 3), "a?b"},
  };
  for (const auto& [given, told] : reasons) {
    StoredEntity made = Make(Uuid::Random().ToString());
    DriverStore store(*pool_, made.name, 60s);
    auto owned = Turn(store);
    ASSERT_EQ(owned.size(), 1);
    DriverFactory factory;
    factory.secrets = [&, reason = given](const auto&, const auto&, auto done) {
      loop_.Post([=] { done(Error{Code::kNotFound, reason}); });
    };
    bool committed = false;
    DriverSeat seat(loop_, *producer_, store, factory, owned[0], [&] { committed = true; });
    ASSERT_TRUE(loop_.RunUntil([&] { return committed; }, 5s)) << told;
    Run([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(auto stored, EntityStore(tx).Lock(schema::kDriverKind, "acme", made.name));
      EXPECT_EQ(stored.document["reason"],
                json::value(json::array{"restarting after failure 1: " + told}));
      return {};
    });
  }
}

}  // namespace
}  // namespace dispatch::driver_store_contract
