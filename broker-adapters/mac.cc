#include "broker-adapters/mac.h"

#include "common/crypto.h"

namespace dispatch::broker {

namespace {

constexpr std::string_view kHeader = "mac";

void AppendLength(std::string& out, uint64_t length) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(length >> shift));
}

// No bytes at all and empty bytes are told apart: a null value is a deletion.
void AppendField(std::string& out, const std::optional<std::string>& field) {
  AppendLength(out, field ? field->size() : UINT64_MAX);
  if (field) out += *field;
}

}  // namespace

std::string RecordSigner::Compute(std::string_view topic, const std::optional<std::string>& key,
                                  const std::optional<std::string>& value) const {
  std::string message;
  message.reserve(24 + topic.size() + (key ? key->size() : 0) + (value ? value->size() : 0));
  AppendLength(message, topic.size());
  message += topic;
  AppendField(message, key);
  AppendField(message, value);
  return crypto::HmacSha256(key_, message);
}

void RecordSigner::Sign(ProduceRecord& record) const {
  std::erase_if(record.headers, [](const Header& h) { return h.first == kHeader; });
  record.headers.emplace_back(kHeader, Compute(record.topic, record.key, record.value));
}

Status RecordSigner::Verify(const Record& record) const {
  const std::string* mac = record.FindHeader(kHeader);
  if (mac == nullptr) {
    return Status(Code::kUnauthenticated, "record without a mac header in " + record.topic +
                                              ": its writer does not have the service key");
  }
  if (!crypto::EqualConstantTime(*mac, Compute(record.topic, record.key, record.value))) {
    return Status(Code::kUnauthenticated,
                  "record with a wrong mac in " + record.topic +
                      ": its writer has another service-key-file, or it was forged");
  }
  return OkStatus();
}

}  // namespace dispatch::broker
