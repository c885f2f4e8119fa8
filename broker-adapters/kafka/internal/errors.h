#pragma once

#include <librdkafka/rdkafka.h>

#include <string>

#include "common/result.h"

namespace dispatch::broker::kafka {

/// What a librdkafka or broker error means to our callers.
Code CodeOf(rd_kafka_resp_err_t err);

/// An Error whose message says what to do. `what` is what was tried; `detail` is Kafka's own text.
Error MakeError(rd_kafka_resp_err_t err, const std::string& what, const char* detail = nullptr);

/// Of a partition in the answer to ListOffsets: where its broker did not answer, librdkafka tells
/// of no error, and of no offset.
rd_kafka_resp_err_t ErrorOfListed(const rd_kafka_topic_partition_t& listed);

}  // namespace dispatch::broker::kafka
