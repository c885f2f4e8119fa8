#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "common/crypto.h"
#include "schema/messages.h"

// Bytes of every message as first shipped. A change here breaks what is in people's topics: add
// optional fields instead, and the old bytes keep decoding.
namespace dispatch::golden_test {
namespace {

using namespace schema;  // NOLINT: the subject

Uuid Id(uint8_t first) {
  Uuid id;
  for (int i = 0; i < 16; ++i) id.bytes[i] = static_cast<uint8_t>(first + i);
  return id;
}

EventData Event() { return {"k", {{"ce_id", "1"}}, "{}"}; }

Request MakeRequest() {
  Request m;
  m.correlation_id = "0123456789abcdef";
  m.method = "topic.create";
  m.org = "acme";
  m.principal = {"key", "k1", "acme"};
  m.deadline_ms = 1000;
  m.reply_partition = 3;
  m.idempotency_key = "i";
  m.if_match = 7;
  m.body = "{}";
  m.traceparent = "t";
  return m;
}

Reply MakeReply() {
  Reply m;
  m.correlation_id = "0123456789abcdef";
  m.code = Code::kNotFound;
  m.message = "no";
  m.retryable = true;
  m.details = {{"f", "r"}};
  m.body = "{}";
  m.state_kind = "topic";
  m.state_key = "acme/t";
  m.state_version = 9;
  return m;
}

StateRecord MakeState() {
  StateRecord m{"topic", "acme", "t", Id(1), 5, 6, true, "{}", 7};
  return m;
}

Invocation MakeInvocation() {
  Invocation m;
  m.org = "acme";
  m.topic = "t";
  m.topic_uuid = Id(1);
  m.source_partition = 2;
  m.source_offset = 300;
  m.source_timestamp_ms = 4000;
  m.stream = Id(50);
  m.replay = Id(70);
  m.chunk = 1;
  m.chunks = 2;
  m.targets = {{Id(30), 2, 11}};
  m.event = Event();
  return m;
}

Invocation MakeInvocationWithTime() {
  Invocation m = MakeInvocation();
  m.deliver_at_ms = 5000;
  return m;
}

PackedAttempts MakePackedAttempts() {
  return {{{0, 5, 1, 1500, 204, 1, Uuid{}, ""}, {7, 0, 2, 90, 200, 1, Id(9), "ok"}}};
}

Progress MakeProgress() { return {Id(1), 2, 3, {10, 7, 1, 1}, 4, 5, 6, 7, "503", 8, {}}; }

Progress MakeProgressWithCircuit() {
  Progress m = MakeProgress();
  m.circuit = Circuit{CircuitState::kOpen, 9, "503 from h"};
  return m;
}

Progress MakeProgressWithTimes() {
  Progress m = MakeProgressWithCircuit();
  m.failing_since_ms = 10;
  m.last_success_ms = 11;
  return m;
}

Progress MakeProgressWithScheduled() {
  Progress m = MakeProgressWithTimes();
  m.scheduled = 12;
  return m;
}

Progress MakeProgressWithBlocked() {
  Progress m = MakeProgressWithScheduled();
  m.blocked = {2, 9, {{"k", 8, 7, 3, 503, "503 from h", 6, 1, 5}}};
  return m;
}

PackedLag MakePackedLag() { return {{5, 10}, {100, -3}, {2, 0}, {70000, 40}, 2, {99, 1, -3, 0}}; }

DeadLetter MakeDeadLetter() {
  return {{Id(1), 2, 3, Id(9), 4, Id(20)},
          "acme",
          "t",
          "s",
          "rejected",
          "404",
          5,
          404,
          6,
          7,
          8,
          Event()};
}

DeadLetter MakeDeadLetterOfBooks() {
  DeadLetter m = MakeDeadLetter();
  m.invocations_partition = 3;
  m.sequence = 17;
  m.source_timestamp_ms = 5;
  return m;
}

DeadLetter MakeDeadLetterOfReplay() {
  DeadLetter m = MakeDeadLetterOfBooks();
  m.replay_of = Id(30);
  return m;
}

AuditEntry MakeAudit() {
  return {"acme", {"key", "k1", "acme"}, "topic.create", "topic/t", "allowed", 5, "r"};
}

MatchCheckpoint MakeMatch() {
  MatchCheckpoint m;
  m.completed = {{5, 9}};
  m.counters = {{Id(1), 2, 30, 4, {}}};
  m.sessions = {
      {Id(40), 3, {{4, 5}}, {{Id(1), 2, 3, 9}, {Id(2), 1, 4, std::nullopt}}, std::nullopt}};
  return m;
}

MatchCheckpoint MakeMatchWithGrants() {
  MatchCheckpoint m;
  m.sessions = {{Id(40), 3, {}, {}, 7}};
  m.granted = 20;
  m.retired = {{Id(1), 2, 3, 9}};
  return m;
}

MatchCheckpoint MakeMatchWithErrors() {
  MatchCheckpoint m;
  m.counters = {{Id(1), 2, 30, 4, {3, {{"cast", 1}, {"missingAttribute", 2}}, 17, 5}}};
  return m;
}

InvokeCheckpoint MakeInvoke() {
  InvokeCheckpoint m;
  m.taken_in = 12;
  m.completed = {{5, 9}};
  m.partials = {{4, "\x05"}};
  m.marks = {{Id(40), Id(1), 2, 30, true, {Id(9)}, 5}};
  m.counters = {{Id(1), {4, 3, 1, 0}}};
  return m;
}

// Encoding gives the golden bytes, and the golden bytes decode to what encodes to them again.
template <typename Message>
void Check(const Message& message, const std::string& golden) {
  std::string bytes = Encode(message);
  EXPECT_EQ(crypto::HexEncode(bytes), golden);
  auto decoded = Decode<Message>(*crypto::HexDecode(golden));
  ASSERT_TRUE(decoded.ok()) << decoded.message();
  EXPECT_EQ(crypto::HexEncode(Encode(*decoded)), golden);
}

TEST(GoldenTest, Request) {
  Check(MakeRequest(),
        "181030313233343536373839616263646566180c746f7069632e637265617465180461636d651c18036b"
        "657918026b31180461636d650016d00f1506180169160e18027b7d18017400");
}
TEST(GoldenTest, Reply) {
  Check(MakeReply(),
        "181030313233343536373839616263646566150818026e6f11191c1801661801720018027b7d1805746f"
        "706963180661636d652f74161200");
}
TEST(GoldenTest, StateRecord) {
  Check(MakeState(),
        "1805746f706963180461636d6518017418100102030405060708090a0b0c0d0e0f10160a160c1118027b"
        "7d160e00");
}
TEST(GoldenTest, Invocation) {
  Check(MakeInvocation(),
        "180461636d6518017418100102030405060708090a0b0c0d0e0f10150416d80416c03e18103233343536"
        "3738393a3b3c3d3e3f40411810464748494a4b4c4d4e4f50515253545515021504191c18101e1f202122"
        "232425262728292a2b2c2d15041616001c18016b191c180563655f69641801310018027b7d0000");
}
TEST(GoldenTest, InvocationWithTime) {
  Check(MakeInvocationWithTime(),
        "180461636d6518017418100102030405060708090a0b0c0d0e0f10150416d80416c03e18103233343536"
        "3738393a3b3c3d3e3f40411810464748494a4b4c4d4e4f50515253545515021504191c18101e1f202122"
        "232425262728292a2b2c2d15041616001c18016b191c180563655f69641801310018027b7d0016904e00");
}
TEST(GoldenTest, Progress) {
  Check(MakeProgress(),
        "18100102030405060708090a0b0c0d0e0f10150416061c1614160e16021602001608160a160c160e1803"
        "353033161000");
}
TEST(GoldenTest, ProgressWithCircuit) {
  Check(MakeProgressWithCircuit(),
        "18100102030405060708090a0b0c0d0e0f10150416061c1614160e16021602001608160a160c160e1803"
        "35303316101c15021612180a3530332066726f6d20680000");
}
TEST(GoldenTest, ProgressWithTimes) {
  Check(MakeProgressWithTimes(),
        "18100102030405060708090a0b0c0d0e0f10150416061c1614160e16021602001608160a160c160e1803"
        "35303316101c15021612180a3530332066726f6d2068001614161600");
}
TEST(GoldenTest, ProgressWithScheduled) {
  Check(MakeProgressWithScheduled(),
        "18100102030405060708090a0b0c0d0e0f10150416061c1614160e16021602001608160a160c160e1803"
        "35303316101c15021612180a3530332066726f6d20680016141616161800");
}
TEST(GoldenTest, ProgressWithBlocked) {
  Check(MakeProgressWithBlocked(),
        "18100102030405060708090a0b0c0d0e0f10150416061c1614160e16021602001608160a160c160e1803"
        "35303316101c15021612180a3530332066726f6d2068001614161616181c16041612191c18016b161016"
        "0e150615ee07180a3530332066726f6d2068160c1502160a000000");
}
TEST(GoldenTest, PackedLag) {
  Check(MakePackedLag(), "19260a141926c80105192604001926e0c5085015041946c60102050000");
}
TEST(GoldenTest, PackedAttempts) {
  Check(MakePackedAttempts(),
        "192c1600160a150216b817159803150200160e1600150416b40115900315021810090a0b0c0d0e0f1011"
        "1213141516171818026f6b0000");
}
TEST(GoldenTest, DeadLetter) {
  Check(MakeDeadLetter(),
        "1c18100102030405060708090a0b0c0d0e0f10150416061810090a0b0c0d0e0f10111213141516171815"
        "0818101415161718191a1b1c1d1e1f2021222300180461636d65180174180173180872656a6563746564"
        "1803343034150a15a806160c160e16101c18016b191c180563655f69641801310018027b7d0000");
}
TEST(GoldenTest, DeadLetterOfBooks) {
  Check(MakeDeadLetterOfBooks(),
        "1c18100102030405060708090a0b0c0d0e0f10150416061810090a0b0c0d0e0f10111213141516171815"
        "0818101415161718191a1b1c1d1e1f2021222300180461636d65180174180173180872656a6563746564"
        "1803343034150a15a806160c160e16101c18016b191c180563655f69641801310018027b7d0015061622160a"
        "00");
}
TEST(GoldenTest, DeadLetterOfReplay) {
  Check(MakeDeadLetterOfReplay(),
        "1c18100102030405060708090a0b0c0d0e0f10150416061810090a0b0c0d0e0f10111213141516171815"
        "0818101415161718191a1b1c1d1e1f2021222300180461636d65180174180173180872656a6563746564"
        "1803343034150a15a806160c160e16101c18016b191c180563655f69641801310018027b7d0015061622160a"
        "18101e1f202122232425262728292a2b2c2d00");
}
TEST(GoldenTest, AuditEntry) {
  Check(MakeAudit(),
        "180461636d651c18036b657918026b31180461636d6500180c746f7069632e6372656174651807746f70"
        "69632f741807616c6c6f776564160a18017200");
}
TEST(GoldenTest, MatchCheckpoint) {
  Check(MakeMatch(),
        "191c160a161200191c18100102030405060708090a0b0c0d0e0f101504163c160800191c181028292a2b"
        "2c2d2e2f30313233343536371606191c1608160a00192c18100102030405060708090a0b0c0d0e0f1015"
        "041606161200181002030405060708090a0b0c0d0e0f101115021608000000");
}
TEST(GoldenTest, MatchCheckpointWithGrants) {
  Check(MakeMatchWithGrants(),
        "190c190c191c181028292a2b2c2d2e2f30313233343536371606190c190c160e001628191c1810010203"
        "0405060708090a0b0c0d0e0f101504160616120000");
}
TEST(GoldenTest, MatchCheckpointWithErrors) {
  Check(MakeMatchWithErrors(),
        "190c191c18100102030405060708090a0b0c0d0e0f101504163c16081c16061b028604636173740210"
        "6d697373696e67417474726962757465041622160a0000190c00");
}
TEST(GoldenTest, InvokeCheckpoint) {
  Check(MakeInvoke(),
        "191c160a161200191c160818010500191c181028292a2b2c2d2e2f303132333435363718100102030405"
        "060708090a0b0c0d0e0f101504163c11191810090a0b0c0d0e0f101112131415161718160a00191c1810"
        "0102030405060708090a0b0c0d0e0f101c16081606160216000000161800");
}

TEST(CodecTest, EveryCutIsAnErrorOrAMessageAndNeverACrash) {
  std::string bytes = Encode(MakeInvocation());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Decode<Invocation>(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
}

TEST(CodecTest, ClaimedSizesAreNotAllocated) {
  // A list of targets (field 11) that claims 2^31 - 1 elements, in a message of a few bytes.
  std::string bytes = *crypto::HexDecode("b9fcffffffff07");
  EXPECT_FALSE(Decode<Invocation>(bytes).ok());
  // A string (field 1) that claims 1 GB.
  EXPECT_FALSE(Decode<Invocation>(*crypto::HexDecode("18808080800400")).ok());
}

// Found by tests/fuzz/messages_fuzz.cc: undefined behaviour, which the sanitizer sees.
TEST(CodecTest, ACircuitStateOfALaterVersionIsClosed) {
  for (int32_t state : {3, 24, -1}) {
    Progress progress = MakeProgressWithCircuit();
    progress.circuit->state = static_cast<CircuitState>(state);
    auto decoded = Decode<Progress>(Encode(progress));
    ASSERT_TRUE(decoded.ok()) << decoded.message();
    EXPECT_EQ(decoded->circuit->state, CircuitState::kClosed) << state;
    EXPECT_EQ(decoded->circuit->reason, progress.circuit->reason);
  }
}

TEST(CodecTest, UnknownFieldsAreSkipped) {
  // A later version's field 100 (i32 5) before the end.
  std::string bytes = Encode(MakeProgress());
  bytes.pop_back();
  bytes += *crypto::HexDecode("05c8010a00");
  auto decoded = Decode<Progress>(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.message();
  EXPECT_EQ(decoded->counters.received, 10);
}

TEST(WebhookIdTest, DependsOnEveryPartOfTheIdentityAndOnNothingElse) {
  DeliveryId id{Id(1), 2, 3, Id(9), 4, Uuid{}};
  std::set<std::string> ids{id.WebhookId(), id.WebhookId()};
  EXPECT_EQ(ids.size(), 1u);
  for (auto change : std::vector<std::function<void(DeliveryId&)>>{
           [](auto& d) { d.topic = Id(2); }, [](auto& d) { d.partition = 3; },
           [](auto& d) { d.offset = 4; }, [](auto& d) { d.subscription = Id(8); },
           [](auto& d) { d.generation = 5; }, [](auto& d) { d.replay = Id(7); }}) {
    DeliveryId other = id;
    change(other);
    ids.insert(other.WebhookId());
  }
  EXPECT_EQ(ids.size(), 7u);
}

}  // namespace
}  // namespace dispatch::golden_test
