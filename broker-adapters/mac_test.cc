#include "broker-adapters/mac.h"

#include <gtest/gtest.h>

namespace dispatch::mac_test {
namespace {

using broker::ProduceRecord;
using broker::Record;
using broker::RecordSigner;

Record Arrive(const ProduceRecord& sent) {
  return Record{.topic = sent.topic, .key = sent.key, .value = sent.value, .headers = sent.headers};
}

ProduceRecord Signed(const RecordSigner& signer) {
  ProduceRecord record{.topic = "dispatch.state.x", .key = "k", .value = "v"};
  signer.Sign(record);
  return record;
}

TEST(Mac, AcceptsWhatItSigned) {
  RecordSigner signer(std::string(32, 'a'));
  auto sent = Signed(signer);
  EXPECT_TRUE(signer.Verify(Arrive(sent)).ok());
  signer.Sign(sent);  // signing again replaces
  EXPECT_EQ(sent.headers.size(), 1u);
  EXPECT_TRUE(signer.Verify(Arrive(sent)).ok());
}

TEST(Mac, RefusesWhatWasChanged) {
  RecordSigner signer(std::string(32, 'a'));
  auto check = [&](auto change) {
    Record record = Arrive(Signed(signer));
    change(record);
    EXPECT_EQ(signer.Verify(record).code(), Code::kUnauthenticated);
  };
  check([](Record& r) { r.topic += "y"; });
  check([](Record& r) { r.key = "k2"; });
  check([](Record& r) { r.key.reset(); });
  check([](Record& r) { r.value = ""; });
  check([](Record& r) { r.value.reset(); });
  check([](Record& r) { r.headers.clear(); });
  check([](Record& r) { r.headers[0].second.pop_back(); });
  check([](Record& r) {  // bytes moved from the key to the value
    r.key = "";
    r.value = "kv";
  });
}

TEST(Mac, RefusesAnotherKeysAndTellsNullFromEmpty) {
  RecordSigner signer(std::string(32, 'a'));
  RecordSigner other(std::string(32, 'b'));
  EXPECT_EQ(other.Verify(Arrive(Signed(signer))).code(), Code::kUnauthenticated);

  ProduceRecord deletion{.topic = "t", .key = "k", .value = std::nullopt};
  signer.Sign(deletion);
  Record record = Arrive(deletion);
  EXPECT_TRUE(signer.Verify(record).ok());
  record.value = "";
  EXPECT_FALSE(signer.Verify(record).ok());
}

}  // namespace
}  // namespace dispatch::mac_test
