#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/container/log_frames.h"
#include "common/container/spec.h"

namespace dispatch::container::container_test {
namespace {

TEST(ImageReference, IsToldFromAPath) {
  for (const char* good : {"hello", "registry:5000/team/hello:1.2", "x/y@sha256:0123abcd"}) {
    EXPECT_TRUE(CheckImageReference(good).ok()) << good;
  }
  for (const char* bad : {"", "/hello", "a b", "a/../../containers", "a?x=1", "a//b", "-x"}) {
    EXPECT_EQ(CheckImageReference(bad).code(), Code::kUnprocessable) << bad;
  }
}

TEST(LogFrames, AreReadHoweverTheyAreCut) {
  std::string bytes(
      "\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x02"
      "er",
      21);
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    std::string out;
    std::string err;
    LogFrames frames([&](bool is_err, std::string_view text) { (is_err ? err : out) += text; });
    for (size_t at = 0; at < bytes.size(); at += piece) {
      EXPECT_TRUE(frames.Append(std::string_view(bytes).substr(at, piece)));
    }
    EXPECT_EQ(out + "|" + err, "out|er") << piece;
  }
}

TEST(LogFrames, BeginAnewAfterACut) {
  std::string out;
  LogFrames frames([&](bool, std::string_view text) { out += text; });
  EXPECT_TRUE(frames.Append(std::string_view("\x01\0\0\0\0\0\0\x09one", 11)));
  frames.Reset();
  EXPECT_TRUE(frames.Append(std::string_view("\x01\0\0\0\0\0\0\x03two", 11)));
  EXPECT_EQ(out, "onetwo");
}

TEST(HostConfig, CountsWhatIsInTmpAsMemory) {
  auto host = HostConfig({.memory_bytes = 100, .tmp_bytes = 10, .cpu_millis = 500, .processes = 7});
  EXPECT_EQ(json::GetInt(host, "Memory"), 110);
  EXPECT_EQ(json::GetInt(host, "MemorySwap"), 110);
  EXPECT_EQ(json::GetInt(host, "NanoCpus"), 500'000'000);
  EXPECT_EQ(json::GetInt(host, "PidsLimit"), 7);
  EXPECT_EQ(json::GetString(host, "NetworkMode"), "none");
}

TEST(LogFrames, OtherBytesAreRefused) {
  LogFrames frames([](bool, std::string_view) { FAIL(); });
  EXPECT_FALSE(frames.Append("HTTP/1.1 200"));
}

}  // namespace
}  // namespace dispatch::container::container_test
