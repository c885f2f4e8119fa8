// A libFuzzer target: whatever bytes come as a message of a topic or as a checkpoint of the
// database, decoding ends without throwing, and what was decoded is the same after encoding.
//
// The first byte says which message the rest is.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "schema/messages.h"

namespace {

using namespace dispatch::schema;  // NOLINT(google-build-using-namespace)

template <typename Message>
void Try(std::string_view bytes) {
  auto message = Decode<Message>(bytes);
  if (!message.ok()) return;
  std::string encoded = Encode(*message);
  auto again = Decode<Message>(encoded);
  if (!again.ok() || Encode(*again) != encoded) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 10) {
    case 0:
      Try<Request>(bytes);
      break;
    case 1:
      Try<Reply>(bytes);
      break;
    case 2:
      Try<StateRecord>(bytes);
      break;
    case 3:
      Try<Invocation>(bytes);
      break;
    case 4:
      Try<Progress>(bytes);
      break;
    case 5:
      Try<DeadLetter>(bytes);
      break;
    case 6:
      Try<AuditEntry>(bytes);
      break;
    case 7:
      Try<MatchCheckpoint>(bytes);
      break;
    case 8:
      Try<InvokeCheckpoint>(bytes);
      break;
    default:
      Try<PackedAttempts>(bytes);
      Try<PackedLag>(bytes);
  }
  return 0;
}
