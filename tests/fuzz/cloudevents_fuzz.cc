// A libFuzzer target: whatever bytes are said to be an event, reading ends, and what was read is
// the same after writing and reading it again, in JSON, in HTTP's and in Kafka's binary mode.
//
// The first byte says how the rest is read; in binary modes that is lines of fields, an empty line,
// and the data.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "schema/cloudevents.h"

namespace {

using namespace dispatch;  // NOLINT(google-build-using-namespace)
using cloudevents::Event;

bool Same(Event a, Event b) {
  std::sort(a.attributes.begin(), a.attributes.end());
  std::sort(b.attributes.begin(), b.attributes.end());
  return a.attributes == b.attributes && a.data == b.data;
}

void MustHold(bool holds) {
  if (!holds) std::abort();
}

void RoundTrip(const Event& event) {
  MustHold(cloudevents::Validate(event).ok());
  auto json = cloudevents::FromJson(cloudevents::ToJson(event));
  MustHold(json.ok());
  auto kafka = cloudevents::FromKafka(cloudevents::ToKafka(event));
  MustHold(kafka.ok() && Same(*kafka, event));
  auto http = cloudevents::FromHttpBinary(cloudevents::ToHttpHeaders(event),
                                          event.data ? *event.data : std::string());
  MustHold(http.ok());
}

schema::HeaderList ReadFields(std::string_view& rest) {
  schema::HeaderList fields;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.empty()) break;
    size_t colon = std::min(line.find(':'), line.size());
    std::string_view value = line.substr(std::min(line.size(), colon + 1));
    fields.emplace_back(line.substr(0, colon), value);
  }
  return fields;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'j':
      if (auto event = cloudevents::FromJson(rest); event.ok()) RoundTrip(*event);
      break;
    case 'b':
      if (auto batch = cloudevents::FromJsonBatch(rest); batch.ok()) {
        for (const auto& event : *batch) {
          if (event.ok()) RoundTrip(*event);
        }
      }
      break;
    case '0':
      if (auto event = cloudevents::UpgradeFrom01(rest); event.ok()) RoundTrip(*event);
      break;
    case 'h': {
      auto fields = ReadFields(rest);
      auto event = cloudevents::FromHttpBinary(fields, std::string(rest));
      if (event.ok()) RoundTrip(*event);
      break;
    }
    default: {
      schema::EventData record;
      record.headers = ReadFields(rest);
      record.value = std::string(rest);
      if (auto event = cloudevents::FromKafka(record); event.ok()) RoundTrip(*event);
    }
  }
  return 0;
}
