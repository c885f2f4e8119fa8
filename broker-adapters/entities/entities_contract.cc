// Runs against the PostgreSQL that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/entities/idempotency.h"
#include "broker-adapters/entities/outbox_store_pg.h"
#include "common/pg/testing/own_schema.h"

namespace dispatch::entities_contract {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class Entities : public pg::testing::OwnSchema {
 protected:
  Entities() : OwnSchema("entities_contract", 4) {}
  void SetUp() override {
    OwnSchema::SetUp();
    if (IsSkipped()) return;
    for (const char* name : {"0001_entities", "0002_idempotency"}) {
      std::string sql = ReadFile(std::string("schema/sql/common/") + name + ".sql");
      ASSERT_FALSE(sql.empty()) << "run from the repository's root";
      Script(*pool_, sql);
    }
  }

  // One transaction on this thread.
  Status Now(const std::function<Status(EntityStore&)>& work) {
    return pool_->RunNow([&](pg::Transaction& tx) {
      EntityStore store(tx);
      return work(store);
    });
  }
  static StoredEntity Make(const std::string& name) {
    return {.kind = "topic",
            .org = "acme",
            .name = name,
            .uuid = Uuid::Random(),
            .document = {{"name", name}}};
  }
  template <typename T>
  Result<T> Await(const std::function<void(std::function<void(Result<T>)>)>& call) {
    std::optional<Result<T>> result;
    call([&](Result<T> r) {
      result.emplace(std::move(r));
      loop_.Stop();
    });
    loop_.Run();
    return std::move(*result);
  }
};

TEST_F(Entities, InsertUpdateAndDeleteWriteTheOutboxToo) {
  StoredEntity entity = Make("t");
  int64_t first = 0;
  ASSERT_TRUE(Now([&](EntityStore& s) { return s.Insert(entity); }).ok());
  first = entity.version;
  EXPECT_GT(first, 0);
  Status twice = Now([&](EntityStore& s) {
    StoredEntity again = Make("t");
    return s.Insert(again);
  });
  EXPECT_EQ(twice.code(), Code::kAlreadyExists);

  Status stale = Now([&](EntityStore& s) -> Status {
    ASSIGN_OR_RETURN(auto e, s.Lock("topic", "acme", "t"));
    return s.Update(e, first + 100);
  });
  EXPECT_EQ(stale.code(), Code::kPreconditionFailed);
  ASSERT_TRUE(Now([&](EntityStore& s) -> Status {
                ASSIGN_OR_RETURN(auto e, s.Lock("topic", "acme", "t"));
                e.document["more"] = 1;
                RETURN_IF_ERROR(s.Update(e, first));
                entity = e;
                return OkStatus();
              }).ok());
  EXPECT_GT(entity.version, first);
  // The same again is no change.
  ASSERT_TRUE(Now([&](EntityStore& s) -> Status {
                ASSIGN_OR_RETURN(auto e, s.Lock("topic", "acme", "t"));
                e.document["modifiedTime"] = 2'000'000'000;
                RETURN_IF_ERROR(s.UpdateIfChanged(e, entity.version));
                EXPECT_EQ(e.version, entity.version);
                EXPECT_EQ(e.document, entity.document);
                e.version = first;
                EXPECT_EQ(s.UpdateIfChanged(e, entity.version).code(), Code::kPreconditionFailed);
                return OkStatus();
              }).ok());
  ASSERT_TRUE(Now([&](EntityStore& s) -> Status {
                ASSIGN_OR_RETURN(auto e, s.Lock("topic", "acme", "t"));
                RETURN_IF_ERROR(s.Delete(e, std::nullopt));
                EXPECT_GT(e.version, entity.version);
                return OkStatus();
              }).ok());
  Status gone = Now([&](EntityStore& s) -> Status {
    ASSIGN_OR_RETURN(auto e, s.Lock("topic", "acme", "t"));
    return OkStatus();
  });
  EXPECT_EQ(gone.code(), Code::kNotFound);

  broker::PgOutboxStore outbox(*pool_, "relay");
  auto rows = Await<std::vector<broker::OutboxRow>>([&](auto done) { outbox.Read(10, done); });
  ASSERT_TRUE(rows.ok()) << rows.message();
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[0].record.version, first);
  EXPECT_EQ((*rows)[0].record.Key(), "topic/acme/t");
  EXPECT_FALSE((*rows)[1].record.deleted);
  EXPECT_TRUE((*rows)[2].record.deleted);
  auto current =
      Await<schema::StateRecord>([&](auto done) { outbox.Current("topic", "acme/t", done); });
  ASSERT_TRUE(current.ok()) << current.message();
  EXPECT_TRUE(current->deleted);
  EXPECT_EQ(current->version, (*rows)[2].record.version);
}

TEST_F(Entities, ATextWithANulIsRefusedWithWords) {
  Status status = Now([&](EntityStore& s) {
    StoredEntity entity = Make("t");
    entity.document["description"] = std::string("a\0b", 3);
    return s.Insert(entity);
  });
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_NE(status.message().find("has the character NUL"), std::string::npos) << status.message();
}

TEST_F(Entities, ARefusedTransactionTellsNothing) {
  Status status = Now([&](EntityStore& s) -> Status {
    StoredEntity entity = Make("t");
    RETURN_IF_ERROR(s.Insert(entity));
    return Status(Code::kConflict, "changed my mind");
  });
  EXPECT_EQ(status.code(), Code::kConflict);
  broker::PgOutboxStore outbox(*pool_, "relay");
  auto rows = Await<std::vector<broker::OutboxRow>>([&](auto done) { outbox.Read(10, done); });
  EXPECT_TRUE(rows.ok() && rows->empty());
}

// A name that is deleted and made again, from many threads at once: its versions rise in the order
// of the commits, which is the order of the outbox.
TEST_F(Entities, VersionsRiseInTheOrderOfCommits) {
  std::atomic<int> changes = 0;
  auto work = [&] {
    for (int i = 0; i < 60; ++i) {
      auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto found, store.Find("topic", "acme", "hot"));
        if (!found) {
          StoredEntity entity = Make("hot");
          return store.Insert(entity);
        }
        ASSIGN_OR_RETURN(auto entity, store.Lock("topic", "acme", "hot"));
        return i % 2 == 0 ? store.Delete(entity, std::nullopt) : store.Update(entity, std::nullopt);
      });
      if (status.ok()) ++changes;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  EXPECT_GT(changes, 20);
  auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
    // A row's write time is taken under the entity's lock.
    ASSIGN_OR_RETURN(auto rows, tx.Exec("select version from outbox order by seq"));
    EXPECT_EQ(rows.size(), static_cast<size_t>(changes));
    for (size_t i = 1; i < rows.size(); ++i) EXPECT_LT(rows[i - 1].Int(0), rows[i].Int(0));
    return OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST_F(Entities, TheRelayReadsNothingThatAnOlderTransactionMayPrecede) {
  broker::PgOutboxStore outbox(*pool_, "relay");
  auto status = outside_->RunNow([&](pg::Transaction& open) -> Status {
    // An older transaction that wrote, and has not ended.
    RETURN_IF_ERROR(open.Exec("create table entities_contract.scratch (n int)"));
    RETURN_IF_ERROR(Now([&](EntityStore& s) {
      StoredEntity entity = Make("t");
      return s.Insert(entity);
    }));
    auto rows = Await<std::vector<broker::OutboxRow>>([&](auto done) { outbox.Read(10, done); });
    EXPECT_TRUE(rows.ok() && rows->empty());
    return OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status.message();
  auto rows = Await<std::vector<broker::OutboxRow>>([&](auto done) { outbox.Read(10, done); });
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->size(), 1u);
}

TEST_F(Entities, TheLeaseHasOneHolderAndEpochsRise) {
  broker::PgOutboxStore store(*pool_, "relay");
  auto acquire = [&](const std::string& owner, Duration ttl = std::chrono::seconds(30)) {
    return *Await<broker::OutboxStore::Lease>(
        [&](auto done) { store.AcquireLease(owner, ttl, done); });
  };
  auto first = acquire("a");
  EXPECT_TRUE(first.held);
  EXPECT_EQ(acquire("a").epoch, first.epoch);
  EXPECT_FALSE(acquire("b").held);

  ASSERT_TRUE(Now([&](EntityStore& s) {
                StoredEntity entity = Make("t");
                return s.Insert(entity);
              }).ok());
  auto rows = *Await<std::vector<broker::OutboxRow>>([&](auto done) { store.Read(10, done); });
  ASSERT_EQ(rows.size(), 1u);
  auto remove = [&](int64_t epoch) {
    (void)Await<bool>([&](auto done) {
      store.Remove({{rows[0].xid, rows[0].seq}}, epoch, [done](Status) { done(true); });
    });
    return Await<std::vector<broker::OutboxRow>>([&](auto done) { store.Read(10, done); })->size();
  };
  EXPECT_EQ(remove(first.epoch - 1), 1u) << "a replaced holder removes nothing";
  EXPECT_EQ(remove(first.epoch), 0u);

  store.ReleaseLease("a", first.epoch);
  broker::OutboxStore::Lease second;
  for (int i = 0; i < 100 && !second.held; ++i) second = acquire("b");
  EXPECT_TRUE(second.held);
  EXPECT_GT(second.epoch, first.epoch);
}

TEST_F(Entities, ARepeatedMutationGetsTheFirstReply) {
  schema::Request request;
  request.method = "topic.create";
  request.org = "acme";
  request.idempotency_key = "once";
  request.body = "{}";
  std::atomic<int> ran = 0;
  auto apply = [&](const schema::Request& asked) -> Result<broker::RpcReply> {
    Result<broker::RpcReply> reply = Error{Code::kInternal, "not run"};
    auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
      reply = Once(tx, asked, [&]() -> Result<broker::RpcReply> {
        return broker::RpcReply{json::object{{"run", ++ran}}, "topic", "acme/a", 7};
      });
      return reply.status();
    });
    return status.ok() ? std::move(reply) : Result<broker::RpcReply>(status.error());
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      auto reply = apply(request);
      ASSERT_TRUE(reply.ok()) << reply.message();
      EXPECT_EQ(json::Serialize(reply->body), R"({"run":1})");
      EXPECT_EQ(reply->state_kind + reply->state_key, "topicacme/a");
      EXPECT_EQ(reply->state_version, 7);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ran, 1);
  auto other = request;
  other.body = "{\"other\":1}";
  EXPECT_EQ(apply(other).code(), Code::kUnprocessable);
  other.idempotency_key.clear();
  EXPECT_TRUE(apply(other).ok());
  EXPECT_TRUE(apply(other).ok());
  EXPECT_EQ(ran, 3);
  auto forgotten = pool_->RunNow([&](pg::Transaction& tx) -> Status {
    ASSIGN_OR_RETURN(size_t count, ForgetRequests(tx, 0));
    EXPECT_EQ(count, 1u);
    return OkStatus();
  });
  EXPECT_TRUE(forgotten.ok()) << forgotten.message();
}

}  // namespace
}  // namespace dispatch::entities_contract
