#include "broker-adapters/kafka/internal/errors.h"

#include <string_view>

namespace dispatch::broker::kafka {

Code CodeOf(rd_kafka_resp_err_t err) {
  switch (err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return Code::kOk;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
      return Code::kDeadlineExceeded;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
      return Code::kResourceExhausted;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      return Code::kTooLarge;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
      return Code::kNotFound;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
      return Code::kAlreadyExists;
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
      return Code::kInvalidArgument;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return Code::kPermissionDenied;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return Code::kOutOfRange;
    default:
      return Code::kUnavailable;
  }
}

namespace {

// librdkafka tells some faults of TLS as those of the connection: its text knows better.
const char* RemedyByText(std::string_view detail) {
  auto has = [&](const char* sign) { return detail.find(sign) != std::string_view::npos; };
  if (has("certificate verify failed")) {
    return "kafka-ssl-ca must name the authority that signed the brokers' certificates";
  }
  if (has("security.protocol") || has("SSL handshake") || has("SSL routines")) {
    return "check kafka-security-protocol: the brokers speak another protocol there";
  }
  return nullptr;
}

const char* Remedy(rd_kafka_resp_err_t err) {
  switch (err) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
      return "check kafka-brokers and kafka-security-protocol, and that the brokers are up";
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
      return "check kafka-sasl-mechanism, kafka-sasl-username and kafka-sasl-password";
    case RD_KAFKA_RESP_ERR__SSL:
      return "check kafka-security-protocol and the kafka-ssl-* files";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return "give the user of kafka-sasl-username the ACL";
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return "the producer's queue is full: try again later";
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
      return "set replication-factor to the number of brokers or less";
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
      return "fewer brokers are in sync than min.insync.replicas asks for";
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return "create or grow the topic";
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return "retention passed the position: seek to where reading may go on";
    default:
      return nullptr;
  }
}

}  // namespace

Error MakeError(rd_kafka_resp_err_t err, const std::string& what, const char* detail) {
  Code code = CodeOf(err);
  // Kafka answers "invalid topic" for a name that differs from another by . and _ only.
  if (err == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION && detail != nullptr &&
      std::string_view(detail).find("collides") != std::string_view::npos) {
    code = Code::kAlreadyExists;
  }
  std::string message = what + ": " + (detail != nullptr ? detail : rd_kafka_err2str(err));
  const char* remedy = detail != nullptr ? RemedyByText(detail) : nullptr;
  if (remedy == nullptr) remedy = Remedy(err);
  if (remedy != nullptr) message += std::string(": ") + remedy;
  return Error{code, std::move(message), RetryableByDefault(code)};
}

rd_kafka_resp_err_t ErrorOfListed(const rd_kafka_topic_partition_t& listed) {
  bool unanswered =
      listed.err == RD_KAFKA_RESP_ERR_NO_ERROR && listed.offset == RD_KAFKA_OFFSET_INVALID;
  return unanswered ? RD_KAFKA_RESP_ERR__TRANSPORT : listed.err;
}

}  // namespace dispatch::broker::kafka
