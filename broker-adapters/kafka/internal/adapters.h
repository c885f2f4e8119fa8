#pragma once

#include <memory>
#include <string>

#include "broker-adapters/broker.h"
#include "broker-adapters/kafka/internal/connection.h"

namespace dispatch::broker::kafka {

/// The parts of a Kafka Broker. A configuration that librdkafka refuses was found by ConnectKafka.
std::unique_ptr<Producer> NewProducer(ConnectionPtr connection, ProducerOptions options);
std::unique_ptr<GroupConsumer> NewGroupConsumer(ConnectionPtr connection, GroupOptions options,
                                                GroupConsumer::Listener& listener);
std::unique_ptr<Reader> NewReader(ConnectionPtr connection, std::string client_id,
                                  Reader::Listener& listener, size_t max_prefetch_bytes);
std::unique_ptr<Admin> NewAdmin(ConnectionPtr connection);

}  // namespace dispatch::broker::kafka
