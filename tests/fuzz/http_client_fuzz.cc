// A libFuzzer target: whatever an endpoint answers, in HTTP/1.1 or HTTP/2, the client ends the
// request with an answer within its limits or with a failure, and says which.
//
// The first byte says which version, the second where the rest is cut in two pieces.

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "common/event_loop.h"
#include "common/http/client.h"
#include "common/http/testing/raw_peer.h"

namespace {

using namespace dispatch;  // NOLINT(google-build-using-namespace)

constexpr Duration kLong = std::chrono::seconds(10);
constexpr size_t kMaxAnswer = 1'000;

struct World {
  EventLoop loop;
  http::testing::RawListener listener{loop};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* world = new World;  // libFuzzer leaves by _exit
  if (size < 2) return 0;
  std::string input(reinterpret_cast<const char*>(data) + 2, size - 2);
  size_t cut = input.empty() ? 0 : data[1] % (input.size() + 1);
  std::optional<http::Client::Outcome> outcome;
  {
    http::Client client(world->loop, {.allow_private_addresses = true});
    http::ClientRequest request;
    request.url = "http://127.0.0.1:" + std::to_string(world->listener.port()) + "/";
    request.body = "{}";
    request.max_response_bytes = kMaxAnswer;
    request.version = data[0] % 2 == 0 ? http::HttpVersion::kHttp11 : http::HttpVersion::kHttp2;
    client.Send(std::move(request), [&](http::Client::Outcome o) { outcome = std::move(o); });
    auto& peers = world->listener.peers;
    if (!world->loop.RunUntil([&] { return !peers.empty(); }, kLong)) std::abort();
    peers[0]->Send(input.substr(0, cut));
    (void)world->loop.RunUntil([&] { return !peers[0]->received().empty(); }, kLong);
    peers[0]->Send(input.substr(cut));
    peers[0]->ShutdownWrite();
    // It may try once more on another connection, which answers nothing.
    auto over = [&] {
      for (size_t i = 1; i < peers.size(); ++i) peers[i]->Close(true);
      return outcome.has_value();
    };
    if (!world->loop.RunUntil(over, kLong)) std::abort();
    bool answered = outcome->failure == http::FailureKind::kNone;
    if (answered && (outcome->response.status < 100 || outcome->response.status > 999)) {
      std::abort();
    }
    if (outcome->response.body.size() > kMaxAnswer) std::abort();
    if (!answered && outcome->message.empty()) std::abort();
  }
  world->listener.peers.clear();
  return 0;
}
