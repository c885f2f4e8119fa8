#include "function-manager/src/domain/dead_letter.h"

#include <algorithm>
#include <charconv>

#include "broker-adapters/topics.h"
#include "common/crypto.h"
#include "schema/cloudevents.h"
#include "schema/delivery_time.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr int kMaxCopies = 5;
constexpr size_t kMaxText = 256;
constexpr char kCount[] = "deadlettercount";

// Attribute values are text without control characters (CloudEvents section 3.1).
std::string AttributeText(const std::string& text) {
  std::string clean = text.substr(0, kMaxText);
  for (char& c : clean) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < ' ') c = ' ';
    if (byte >= 0x7f) c = '?';
  }
  return clean;
}

int CopiesBefore(const cloudevents::Event& event) {
  const std::string* text = event.Find(kCount);
  int count = 0;
  if (text != nullptr) std::from_chars(text->data(), text->data() + text->size(), count);
  return count;
}

}  // namespace

std::optional<std::string> OrderingKey(const schema::EventData& event) {
  for (const auto& [name, value] : event.headers) {
    if (name == "ce_partitionkey") return value;
    if (name != "content-type" || !value.starts_with("application/cloudevents")) continue;
    auto parsed = cloudevents::FromKafka(event);  // structured mode
    const std::string* key = parsed.ok() ? parsed->Find("partitionkey") : nullptr;
    if (key != nullptr) return *key;
  }
  return std::nullopt;
}

bool WasDelayed(const schema::EventData& event, int64_t source_timestamp_ms) {
  auto parsed = cloudevents::FromKafka(event);
  return parsed.ok() && cloudevents::DeliverAtMs(*parsed, source_timestamp_ms) != 0;
}

schema::DeadLetter LetterOf(const Delivery& delivery, int32_t partition,
                            const std::string& subscription_name, const std::string& reason,
                            int64_t now_ms) {
  schema::DeadLetter letter;
  letter.id = delivery.id;
  letter.org = delivery.org;
  letter.topic = delivery.topic;
  letter.subscription = subscription_name;
  letter.reason = reason;
  letter.message = delivery.last_error;
  letter.attempts = delivery.attempts;
  letter.last_status = delivery.last_status;
  letter.first_attempt_ms = delivery.first_attempt_ms;
  letter.last_attempt_ms = letter.dead_lettered_ms = now_ms;
  letter.event = *delivery.event;
  letter.invocations_partition = partition;
  letter.sequence = delivery.sequence;
  letter.source_timestamp_ms = delivery.source_timestamp_ms;
  return letter;
}

schema::DeliveryId RedrivenId(const schema::DeliveryId& letter, const Uuid& redrive,
                              int32_t generation) {
  schema::DeliveryId id = letter;
  id.generation = generation;
  id.replay = redrive;
  if (letter.replay.is_nil() && letter.generation == generation) return id;
  // An event may have several letters: of an older generation, of replays and redrives.
  std::string text = redrive.ToBytes() + letter.replay.ToBytes();
  text += std::to_string(letter.generation);
  std::string hash = crypto::Sha256(text);
  std::copy_n(hash.begin(), id.replay.bytes.size(), id.replay.bytes.begin());
  return id;
}

std::optional<broker::ProduceRecord> CopyOf(const schema::DeadLetter& letter,
                                            const std::string& topic) {
  auto event = cloudevents::FromKafka(letter.event);
  if (!event.ok()) return std::nullopt;
  int copies = CopiesBefore(*event) + 1;
  if (copies > kMaxCopies) return std::nullopt;
  event->Set("deadletterreason", letter.reason);
  event->Set("deadlettersubscription", letter.subscription);
  event->Set("deadletterdelivery", letter.id.WebhookId());
  event->Set("deadlettersource", letter.topic + "/" + std::to_string(letter.id.partition) + "/" +
                                     std::to_string(letter.id.offset));
  event->Set("deadlettertime", schema::FormatRfc3339(FromMillis(letter.dead_lettered_ms)));
  event->Set("deadletterattempts", std::to_string(letter.attempts));
  event->Set(kCount, std::to_string(copies));
  if (letter.last_status != 0) {
    event->Set("deadletterstatus", std::to_string(letter.last_status));
  }
  if (std::string message = AttributeText(letter.message); !message.empty()) {
    event->Set("deadlettermessage", std::move(message));
  }
  schema::EventData data = cloudevents::ToKafka(std::move(*event));
  broker::ProduceRecord record;
  record.topic = broker::EventTopic(letter.org, topic);
  record.key = std::move(data.key);
  record.headers = std::move(data.headers);
  record.value = std::move(data.value);
  return record;
}

}  // namespace dispatch
