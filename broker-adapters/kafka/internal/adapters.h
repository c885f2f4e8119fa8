#pragma once

#include <memory>
#include <string>

#include "broker-adapters/broker.h"
#include "broker-adapters/kafka/internal/connection.h"

namespace dispatch::broker::kafka {

/// A producer that lends its handle to what any handle can do.
class LendingProducer : public Producer {
 public:
  /// The one in use now; ask again after it failed.
  virtual Result<RkPtr> Handle() = 0;
};

/// The parts of a Kafka Broker. A configuration that librdkafka refuses was found by ConnectKafka.
std::unique_ptr<Producer> NewProducer(ConnectionPtr connection, ProducerOptions options);
/// On the handle of all shared producers of the connection, made with the first of them.
std::unique_ptr<LendingProducer> NewSharedProducer(const ConnectionPtr& connection,
                                                   const ProducerOptions& options);
std::unique_ptr<GroupConsumer> NewGroupConsumer(ConnectionPtr connection, GroupOptions options,
                                                GroupConsumer::Listener& listener);
std::unique_ptr<Reader> NewReader(ConnectionPtr connection, std::string client_id,
                                  Reader::Listener& listener, size_t max_prefetch_bytes);
std::unique_ptr<Reader> NewSharedReader(ConnectionPtr connection, Reader::Listener& listener);
std::unique_ptr<Admin> NewAdmin(ConnectionPtr connection);

}  // namespace dispatch::broker::kafka
