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

TEST(LogFrames, OtherBytesAreRefused) {
  LogFrames frames([](bool, std::string_view) { FAIL(); });
  EXPECT_FALSE(frames.Append("HTTP/1.1 200"));
}

}  // namespace
}  // namespace dispatch::container::container_test
