#include "broker-adapters/kafka/kafka_broker.h"

#include "broker-adapters/kafka/internal/adapters.h"

namespace dispatch::broker {

namespace {

class KafkaBroker : public Broker {
 public:
  explicit KafkaBroker(kafka::ConnectionPtr connection)
      : connection_(std::move(connection)), admin_(kafka::NewAdmin(connection_)) {}

  std::unique_ptr<Producer> NewProducer(ProducerOptions options) override {
    return kafka::NewProducer(connection_, std::move(options));
  }
  std::unique_ptr<GroupConsumer> NewGroupConsumer(GroupOptions options,
                                                  GroupConsumer::Listener& listener) override {
    if (options.instance_id.empty()) options.instance_id = connection_->options.instance_id;
    return kafka::NewGroupConsumer(connection_, std::move(options), listener);
  }
  std::unique_ptr<Reader> NewReader(std::string client_id, Reader::Listener& listener,
                                    size_t max_prefetch_bytes) override {
    return kafka::NewReader(connection_, std::move(client_id), listener, max_prefetch_bytes);
  }
  std::unique_ptr<Reader> NewSharedReader(Reader::Listener& listener) override {
    return kafka::NewSharedReader(connection_, listener);
  }
  Admin& admin() override { return *admin_; }

 private:
  kafka::ConnectionPtr connection_;
  std::unique_ptr<Admin> admin_;
};

}  // namespace

KafkaOptions KafkaOptions::FromConfig(const Config& config, std::string client_id) {
  KafkaOptions options;
  options.brokers = config.String("kafka-brokers");
  options.client_id = std::move(client_id);
  options.security_protocol = config.String("kafka-security-protocol");
  options.sasl_mechanism = config.String("kafka-sasl-mechanism");
  options.sasl_username = config.String("kafka-sasl-username");
  options.sasl_password = config.String("kafka-sasl-password");
  options.ssl_ca = config.String("kafka-ssl-ca");
  options.ssl_certificate = config.String("kafka-ssl-certificate");
  options.ssl_key = config.String("kafka-ssl-key");
  options.instance_id = config.String("instance-id");
  return options;
}

Result<std::unique_ptr<Broker>> ConnectKafka(EventLoop& loop, KafkaOptions options) {
  auto connection = std::make_shared<kafka::Connection>(loop, std::move(options));
  // A handle is made to see that librdkafka takes the settings; later ones have the same.
  kafka::Conf conf(connection, "");
  auto probe = conf.Open(RD_KAFKA_PRODUCER);
  if (!probe.ok()) return probe.error();
  return std::unique_ptr<Broker>(std::make_unique<KafkaBroker>(std::move(connection)));
}

}  // namespace dispatch::broker
