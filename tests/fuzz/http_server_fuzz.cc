// A libFuzzer target: whatever a client sends, the server hands on only whole requests within its
// limits, and after the client is gone nothing is left of the connection.
//
// The first byte says where the rest is cut in two pieces.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/event_loop.h"
#include "common/http/server.h"
#include "common/http/testing/raw_peer.h"

namespace {

using namespace dispatch;  // NOLINT(google-build-using-namespace)

constexpr Duration kLong = std::chrono::seconds(10);
constexpr size_t kMaxBody = 1'000;

struct World {
  World() { port = *server.Listen("127.0.0.1:0"); }

  EventLoop loop;
  http::Server server{loop,
                      {.max_header_bytes = 2'000, .max_body_bytes = kMaxBody},
                      [](http::Request request, std::shared_ptr<http::ResponseWriter> writer) {
                        if (request.body.size() > kMaxBody || request.path.empty()) std::abort();
                        if (auto length = request.headers.Get("content-length");
                            length && std::to_string(request.body.size()) != *length &&
                            std::stoull(std::string(*length)) != request.body.size()) {
                          std::abort();
                        }
                        writer->Send(http::Response::Text(200, request.body));
                      }};
  uint16_t port = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* world = new World;  // libFuzzer leaves by _exit
  if (size == 0) return 0;
  std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  size_t cut = input.empty() ? 0 : data[0] % (input.size() + 1);
  {
    auto peer = http::testing::RawPeer::Connect(world->loop, world->port);
    peer.Send(input.substr(0, cut));
    if (!world->loop.RunUntil([&] { return world->server.connections() == 1; }, kLong)) {
      std::abort();
    }
    peer.Send(input.substr(cut));
    peer.ShutdownWrite();
    if (!world->loop.RunUntil([&] { return peer.closed(); }, kLong)) std::abort();
    peer.Close(true);
  }
  if (!world->loop.RunUntil([&] { return world->server.connections() == 0; }, kLong)) {
    std::abort();
  }
  return 0;
}
