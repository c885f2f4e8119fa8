// Proves that a Kafka cluster takes and gives back data: creates a topic of its own, produces one
// record with acks=all, consumes it, with --group also through a consumer group, and deletes the
// topic. Prints the milliseconds each part took. Exit code 0: ready; 1: not in time; 2: usage.
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char kUsage[] =
    "usage: kafka-ready --brokers HOST:PORT[,...] [--timeout SECONDS] [--replicas N] [--group]\n"
    "                   [--config FILE]\n"
    "  --brokers   bootstrap addresses\n"
    "  --timeout   give up after this many seconds (default 30)\n"
    "  --replicas  replicas of the topic it creates (default 1)\n"
    "  --group     also consume through a consumer group\n"
    "  --config    file of librdkafka properties, NAME=VALUE a line: for TLS and SASL\n";

typedef struct {
  const char* brokers;
  int timeout_s;
  int replicas;
  bool group;
  const char* config;
} options_t;

static int64_t start_ms;
static int64_t deadline_ms;
static char last_error[512] = "no answer yet";

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int left_ms(void) {
  int64_t left = deadline_ms - now_ms();
  return left > 0 ? (int)left : 0;
}

static bool failed(const char* format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(last_error, sizeof last_error, format, args);
  va_end(args);
  return false;
}

static void set(rd_kafka_conf_t* conf, const char* name, const char* value) {
  char error[256];
  if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
    fprintf(stderr, "kafka-ready: %s\n", error);
    exit(2);
  }
}

static void keep_error(rd_kafka_t* client, int error, const char* reason, void* opaque) {
  (void)client;
  (void)opaque;
  failed("%s: %s", rd_kafka_err2name(error), reason);
}

static void no_log(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  (void)client;
  (void)level;
  (void)facility;
  (void)text;
}

static void set_from_file(rd_kafka_conf_t* conf, const char* path) {
  char line[4096];
  FILE* file = fopen(path, "r");
  if (file == NULL) {
    fprintf(stderr, "kafka-ready: cannot read %s\n", path);
    exit(2);
  }
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\r\n")] = '\0';
    char* value = strchr(line, '=');
    if (value == NULL || line[0] == '#') continue;
    *value = '\0';
    set(conf, line, value + 1);
  }
  fclose(file);
}

static rd_kafka_conf_t* new_conf(const options_t* options) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  if (options->config != NULL) set_from_file(conf, options->config);
  set(conf, "bootstrap.servers", options->brokers);
  set(conf, "reconnect.backoff.ms", "20");
  set(conf, "reconnect.backoff.max.ms", "100");
  set(conf, "retry.backoff.ms", "20");
  set(conf, "topic.metadata.refresh.fast.interval.ms", "50");
  rd_kafka_conf_set_error_cb(conf, keep_error);
  rd_kafka_conf_set_log_cb(conf, no_log);
  return conf;
}

static rd_kafka_t* new_client(rd_kafka_type_t type, rd_kafka_conf_t* conf) {
  char error[256];
  rd_kafka_t* client = rd_kafka_new(type, conf, error, sizeof error);
  if (client == NULL) {
    fprintf(stderr, "kafka-ready: %s\n", error);
    exit(1);
  }
  return client;
}

// One attempt; the caller repeats it until the deadline, a starting broker refuses for a while.
static bool create_topic(rd_kafka_t* client, const char* topic, int replicas) {
  char error[256];
  bool created = false;
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
  rd_kafka_NewTopic_t* wanted = rd_kafka_NewTopic_new(topic, 1, replicas, error, sizeof error);
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  int budget = left_ms() < 3000 ? left_ms() + 1 : 3000;
  rd_kafka_AdminOptions_set_request_timeout(options, budget, error, sizeof error);
  rd_kafka_AdminOptions_set_operation_timeout(options, budget, error, sizeof error);
  rd_kafka_CreateTopics(client, &wanted, 1, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, budget + 500);
  if (event == NULL) {
    failed("creating a topic: no answer");
  } else if (rd_kafka_event_error(event)) {
    failed("creating a topic: %s", rd_kafka_event_error_string(event));
  } else {
    size_t count = 0;
    const rd_kafka_topic_result_t** results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    created = code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
    if (!created) failed("creating a topic: %s", rd_kafka_err2str(code));
  }
  if (event != NULL) rd_kafka_event_destroy(event);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy(wanted);
  rd_kafka_queue_destroy(queue);
  return created;
}

static void delete_topic(rd_kafka_t* client, const char* topic) {
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
  rd_kafka_DeleteTopic_t* unwanted = rd_kafka_DeleteTopic_new(topic);
  rd_kafka_DeleteTopics(client, &unwanted, 1, NULL, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 5000);
  if (event != NULL) rd_kafka_event_destroy(event);
  rd_kafka_DeleteTopic_destroy(unwanted);
  rd_kafka_queue_destroy(queue);
}

static void on_delivery(rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque) {
  (void)client;
  (void)opaque;
  *(int*)message->_private = message->err ? (int)message->err : 1;
}

static bool produce(rd_kafka_t* client, const char* topic) {
  int outcome = 0;
  rd_kafka_resp_err_t code =
      rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE("ready", 5),
                        RD_KAFKA_V_OPAQUE(&outcome), RD_KAFKA_V_END);
  if (code) return failed("producing: %s", rd_kafka_err2str(code));
  while (outcome == 0 && left_ms() > 0) rd_kafka_poll(client, 20);
  if (outcome == 1) return true;
  if (outcome == 0) rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  rd_kafka_flush(client, 1000);
  return failed("producing with acks=all: %s",
                outcome == 0 ? "no acknowledgement" : rd_kafka_err2str(outcome));
}

static bool consume(const options_t* options, const char* topic, bool group) {
  rd_kafka_conf_t* conf = new_conf(options);
  set(conf, "group.id", topic);
  set(conf, "enable.auto.commit", "false");
  set(conf, "auto.offset.reset", "earliest");
  if (group) set(conf, "group.protocol", "consumer");
  rd_kafka_t* client = new_client(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(client);
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic, group ? RD_KAFKA_PARTITION_UA : 0)->offset = 0;
  if (group) {
    rd_kafka_subscribe(client, list);
  } else {
    rd_kafka_assign(client, list);
  }
  bool got = false;
  while (!got && left_ms() > 0) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(client, 20);
    if (message == NULL) continue;
    got = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!got) failed("consuming: %s", rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
  }
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_consumer_close(client);
  rd_kafka_destroy(client);
  return got;
}

static options_t parse(int argc, char** argv) {
  options_t options = {NULL, 30, 1, false, NULL};
  for (int i = 1; i < argc; ++i) {
    const bool more = i + 1 < argc;
    if (strcmp(argv[i], "--help") == 0) {
      fputs(kUsage, stdout);
      exit(0);
    } else if (strcmp(argv[i], "--group") == 0) {
      options.group = true;
    } else if (more && strcmp(argv[i], "--brokers") == 0) {
      options.brokers = argv[++i];
    } else if (more && strcmp(argv[i], "--timeout") == 0) {
      options.timeout_s = atoi(argv[++i]);
    } else if (more && strcmp(argv[i], "--config") == 0) {
      options.config = argv[++i];
    } else if (more && strcmp(argv[i], "--replicas") == 0) {
      options.replicas = atoi(argv[++i]);
    } else {
      options.brokers = NULL;
      break;
    }
  }
  if (options.brokers == NULL || options.timeout_s <= 0 || options.replicas <= 0) {
    fputs(kUsage, stderr);
    exit(2);
  }
  return options;
}

int main(int argc, char** argv) {
  const options_t options = parse(argc, argv);
  start_ms = now_ms();
  deadline_ms = start_ms + (int64_t)options.timeout_s * 1000;
  char topic[64];
  snprintf(topic, sizeof topic, "dispatch-ready-%lld-%d", (long long)time(NULL), (int)getpid());

  rd_kafka_conf_t* conf = new_conf(&options);
  set(conf, "acks", "all");
  set(conf, "linger.ms", "0");
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t* client = new_client(RD_KAFKA_PRODUCER, conf);

  bool created = false;
  while (!created && left_ms() > 0) {
    created = create_topic(client, topic, options.replicas);
    if (!created) usleep(50 * 1000);
  }
  bool ready = created && produce(client, topic);
  int64_t acked_ms = now_ms() - start_ms;
  ready = ready && consume(&options, topic, false);
  int64_t consumed_ms = now_ms() - start_ms;
  ready = ready && (!options.group || consume(&options, topic, true));
  int64_t group_ms = now_ms() - start_ms;
  if (created) delete_topic(client, topic);
  rd_kafka_destroy(client);

  if (!ready) {
    fprintf(stderr, "kafka-ready: %s not ready after %d s: %s\n", options.brokers,
            options.timeout_s, last_error);
    return 1;
  }
  printf("acks=all %lld ms, consumed %lld ms", (long long)acked_ms, (long long)consumed_ms);
  if (options.group) printf(", by group %lld ms", (long long)group_ms);
  printf("\n");
  return 0;
}
