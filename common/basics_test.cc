// Ids, crypto, trace context, metrics, log, clock: small parts, a test or two each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "common/crypto.h"
#include "common/internal/time_text.h"
#include "common/key_ring.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/testing/simulated_loop.h"
#include "common/trace.h"
#include "common/uuid.h"

namespace dispatch::basics_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Uuid, V7CarriesTheTimeAndTheVersion) {
  Uuid id = Uuid::V7(FromMillis(0x017f22e279b0));
  std::string text = id.ToString();
  EXPECT_EQ(text.substr(0, 15), "017f22e2-79b0-7");
  EXPECT_THAT(std::string("89ab"), HasSubstr(text.substr(19, 1)));
  EXPECT_EQ(Uuid::Random().ToString()[14], '4');
}

TEST(Uuid, RoundTripsAndRefusesGarbage) {
  Uuid id = Uuid::Random();
  EXPECT_EQ(*Uuid::Parse(id.ToString()), id);
  EXPECT_EQ(*Uuid::FromBytes(id.ToBytes()), id);
  EXPECT_TRUE(Uuid::Parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F").ok());
  for (const char* text :
       {"", "017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398g", "017f22e2-79b0-7cc3-98c4dc0-c0c07398f"}) {
    EXPECT_FALSE(Uuid::Parse(text).ok()) << text;
  }
  EXPECT_FALSE(Uuid::FromBytes("short").ok());
  std::set<Uuid> many;
  for (int i = 0; i < 1000; ++i) many.insert(Uuid::V7(FromMillis(1)));
  EXPECT_EQ(many.size(), 1000u);
}

TEST(Crypto, KnownAnswers) {
  EXPECT_EQ(crypto::HexEncode(crypto::Sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, case 2.
  EXPECT_EQ(crypto::HexEncode(crypto::HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(crypto::Base64Encode("foob"), "Zm9vYg==");
  EXPECT_EQ(*crypto::Base64Decode("Zm9vYg=="), "foob");
  EXPECT_EQ(*crypto::Base64Decode(""), "");
  EXPECT_FALSE(crypto::Base64Decode("Zm9vYg").ok());
  EXPECT_FALSE(crypto::Base64Decode("Zm9v!g==").ok());
  EXPECT_EQ(*crypto::HexDecode("00fF"), std::string("\0\xff", 2));
  EXPECT_FALSE(crypto::HexDecode("0").ok());
  EXPECT_FALSE(crypto::HexDecode("0g").ok());
  EXPECT_TRUE(crypto::EqualConstantTime("same", "same"));
  EXPECT_FALSE(crypto::EqualConstantTime("same", "sama"));
  EXPECT_FALSE(crypto::EqualConstantTime("same", "same2"));
}

TEST(Crypto, RandomIsNotRepeated) {
  std::set<std::string> seen;
  for (int i = 0; i < 500; ++i) {
    seen.insert(crypto::RandomBytes(16));
    seen.insert(crypto::RandomAlphanumeric(16));
  }
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(crypto::RandomBytes(5000).size(), 5000u);
}

TEST(Crypto, KeyFileMustBePrivateAndWhole) {
  char path[] = "/tmp/dispatch_key_test_XXXXXX";
  close(mkstemp(path));
  std::ofstream(path) << std::string(64, 'a') << "\n";
  EXPECT_EQ(crypto::ReadKeyFile(path)->size(), 32u);
  chmod(path, 0640);
  EXPECT_THAT(crypto::ReadKeyFile(path).message(), HasSubstr("chmod 600"));
  chmod(path, 0600);
  std::ofstream(path) << std::string(64, 'b') << "\r\n\n" << std::string(64, 'a');
  EXPECT_THAT(crypto::ReadKeyFile(path).message(), HasSubstr("one key"));
  auto ring = crypto::ReadKeyRing(path);
  ASSERT_TRUE(ring.ok()) << ring.message();
  ASSERT_EQ(ring->size(), 2u);
  EXPECT_EQ((*ring)[0], std::string(32, '\xbb'));
  std::ofstream many(path);
  for (int i = 0; i < 9; ++i) many << std::string(64, 'a') << "\n";
  many.close();
  EXPECT_FALSE(crypto::ReadKeyRing(path).ok());
  std::ofstream(path) << "abc";
  EXPECT_THAT(crypto::ReadKeyFile(path).message(), HasSubstr("64 hexadecimal"));
  unlink(path);
  EXPECT_THAT(crypto::ReadKeyFile(path).message(), HasSubstr("openssl rand"));
}

TEST(Trace, ParsesWhatTheSpecificationAccepts) {
  std::string header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  auto context = TraceContext::Parse(header);
  ASSERT_TRUE(context);
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(context->ToTraceparent(), header);
  auto child = context->Child();
  EXPECT_EQ(child.trace_id, context->trace_id);
  EXPECT_NE(child.span_id, context->span_id);
  EXPECT_TRUE(TraceContext::Parse("01" + header.substr(2) + "-more"));
  EXPECT_TRUE(TraceContext::Parse(TraceContext::NewRoot(0.5).ToTraceparent()));
}

TEST(Trace, SamplesTheShareOfNewTracesThatIsAskedFor) {
  int sampled = 0;
  for (int i = 0; i < 4'000; ++i) {
    EXPECT_FALSE(TraceContext::NewRoot(0).sampled);
    EXPECT_TRUE(TraceContext::NewRoot(1).sampled);
    TraceContext quarter = TraceContext::NewRoot(0.25);
    sampled += quarter.sampled ? 1 : 0;
    // Who goes by the id decides the same.
    EXPECT_EQ(quarter.sampled,
              std::stoull(quarter.trace_id.substr(18), nullptr, 16) >= 0xc0000000000000);
  }
  EXPECT_NEAR(sampled, 1'000, 200);
}

TEST(Trace, IsFoundAmongTheHeadersOfARecord) {
  std::string valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_EQ(
      FindTraceparent({{"ce_traceparent", "x"}, {"traceparent", "bad"}, {"traceparent", valid}}),
      valid);
  EXPECT_EQ(FindTraceparent({{"traceparent", "bad"}}), "");
  std::vector<std::pair<std::string, std::string>> headers = {{"traceparent", "bad"},
                                                              {"traceparent", valid}};
  ReplaceTraceparent(headers, "another");
  EXPECT_EQ(headers[0].second, "bad");
  EXPECT_EQ(headers[1].second, "another");
  EXPECT_TRUE(IsSampled(valid));
  EXPECT_TRUE(IsSampled("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0f"));
  EXPECT_FALSE(IsSampled("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02"));
  EXPECT_FALSE(IsSampled(""));
}

TEST(Trace, IgnoresWhatTheSpecificationSaysToIgnore) {
  for (const char* header : {"", "00", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                             "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                             "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                             "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                             "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01"}) {
    EXPECT_FALSE(TraceContext::Parse(header)) << header;
  }
}

TEST(Metrics, CountsAndSerializes) {
  auto counter = metrics::GetCounter("dispatch_test_total", "Test.", {{"kind", "a\"b"}});
  counter.Add();
  metrics::GetCounter("dispatch_test_total", "Test.", {{"kind", "a\"b"}}).Add(2);
  EXPECT_EQ(counter.Value(), 3);
  auto gauge = metrics::GetGauge("dispatch_test_depth", "Depth.");
  gauge.Set(5);
  gauge.Add(-2);
  metrics::GetHistogram("dispatch_test_seconds", "Time.").Observe(0.003);
  std::string text = metrics::Serialize();
  EXPECT_THAT(text, HasSubstr("# TYPE dispatch_test_total counter\n"));
  EXPECT_THAT(text, HasSubstr("dispatch_test_total{kind=\"a\\\"b\"} 3"));
  EXPECT_THAT(text, HasSubstr("dispatch_test_depth 3"));
  EXPECT_THAT(text, HasSubstr("dispatch_test_seconds_bucket{le=\"0.005\"} 1"));
  metrics::Remove("dispatch_test_total", {{"kind", "a\"b"}});
  counter.Add();  // the handle outlives the metric
  EXPECT_THAT(metrics::Serialize(), Not(HasSubstr("dispatch_test_total")));
  metrics::Counter().Add();  // no metric: nothing
}

TEST(Log, LimitsPerSite) {
  int passed = 0;
  for (int i = 0; i < 1000; ++i) passed += log::Sometimes("basics_test.site", 2);
  EXPECT_GE(passed, 2);
  EXPECT_LE(passed, 4);  // the second may turn over once
}

TEST(Log, OneFactIsOneLine) {
  ::testing::internal::CaptureStderr();
  log::Warning("bad record topic={}", "a\nb\x1b[1m");
  std::string line = ::testing::internal::GetCapturedStderr();
  // The service's name depends on who called Init in this process.
  EXPECT_THAT(line, HasSubstr(" WARN "));
  EXPECT_THAT(line, ::testing::EndsWith(" bad record topic=a\\nb?[1m\n"));
}

TEST(LogDeathTest, WritesJsonLines) {
  EXPECT_EXIT(
      {
        log::Init("svc", log::Format::kJson);
        log::Error("it \"broke\" id={}", 7);
        exit(0);
      },
      ::testing::ExitedWithCode(0),
      "^\\{\"time\":\"[^\"]*Z\",\"level\":\"ERROR\",\"service\":\"svc\","
      "\"message\":\"it ..broke.. id=7\"\\}\n$");
}

TEST(TimeText, Formats) {
  WallTime t = FromMillis(1767323045678);
  EXPECT_EQ(internal::FormatRfc3339(t), "2026-01-02T03:04:05.678Z");
  EXPECT_EQ(internal::FormatHttpDate(t), "Fri, 02 Jan 2026 03:04:05 GMT");
}

TEST(SimulatedLoop, FiresInOrderOfDueTime) {
  testing::SimulatedLoop loop;
  std::string order;
  loop.After(std::chrono::seconds(2), [&] { order += 'c'; });
  loop.After(std::chrono::seconds(1), [&] {
    order += 'b';
    loop.Post([&] { order += 'p'; });
  });
  TimerId gone = loop.After(std::chrono::seconds(1), [&] { order += 'x'; });
  loop.Cancel(gone);
  loop.Post([&] { order += 'a'; });
  EXPECT_EQ(order, "");
  SteadyTime start = loop.Steady();
  loop.RunFor(std::chrono::seconds(3));
  EXPECT_EQ(order, "abpc");
  EXPECT_EQ(loop.Steady() - start, std::chrono::seconds(3));
  EXPECT_EQ(loop.pending(), 0u);
  EXPECT_FALSE(loop.RunUntil([] { return false; }));
  EXPECT_TRUE(loop.RunUntil([] { return true; }));
}

}  // namespace
}  // namespace dispatch::basics_test
