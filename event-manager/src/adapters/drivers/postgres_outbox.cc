#include "event-manager/src/adapters/drivers/postgres_outbox.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "common/pg/pool.h"
#include "common/thread_name.h"

namespace dispatch {

namespace {

constexpr int kPage = 200;

struct ConnectionEnd {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ResultEnd {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, ConnectionEnd>;
using Answer = std::unique_ptr<PGresult, ResultEnd>;

std::string FirstLine(const char* text) {
  std::string line(text != nullptr ? text : "");
  while (line.ends_with('\n')) line.pop_back();
  return line.substr(0, line.find('\n'));
}

// What a user may say of a connection: nothing that makes libpq read files of ours.
constexpr const char* kAllowed[] = {"host",     "port",    "user", "dbname",
                                    "password", "sslmode", nullptr};

bool IsAllowed(std::string_view keyword) {
  for (const char* const* name = kAllowed; *name != nullptr; ++name) {
    if (keyword == *name) return true;
  }
  return false;
}

using Parameters = std::vector<std::pair<std::string, std::string>>;

Result<Parameters> Parse(const std::string& url) {
  char* fault = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &fault);
  if (options == nullptr) {
    // libpq's words would repeat what may hold a password.
    PQfreemem(fault);
    return Error{Code::kInvalidArgument,
                 "url cannot be read: it is postgresql://user@host:port/database"};
  }
  Parameters out;
  std::string refused;
  for (PQconninfoOption* o = options; o->keyword != nullptr; ++o) {
    if (o->val == nullptr) continue;
    if (!IsAllowed(o->keyword)) refused = o->keyword;
    out.emplace_back(o->keyword, o->val);
  }
  PQconninfoFree(options);
  if (refused.empty()) return out;
  return Error{Code::kInvalidArgument,
               fmt::format("url has the parameter {}: host, port, user, dbname and sslmode are "
                           "possible",
                           refused)};
}

}  // namespace

Result<std::string> PostgresHostOf(const std::string& url) {
  ASSIGN_OR_RETURN(auto parameters, Parse(url));
  for (const auto& [keyword, value] : parameters) {
    if (keyword != "host") continue;
    if (value.empty() || value[0] == '/' || value[0] == '@' || value.find(',') != value.npos) break;
    return value;
  }
  return Error{Code::kInvalidArgument, "url must name one host, not a socket's directory"};
}

struct PostgresSource::Shared : std::enable_shared_from_this<PostgresSource::Shared> {
  Shared(Executor& executor, PostgresSourceOptions o, Listener l)
      : loop(&executor),
        options(std::move(o)),
        listener(std::move(l)),
        wake_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Shared() { close(wake_fd); }

  void Work();
  Status Serve();
  Status Connect();
  Status TakeRows(bool* full);
  void TakeNotifications();
  Status Forget(const std::vector<std::string>& keys);
  Result<Answer> Run(const std::string& sql, const std::vector<std::string>& values);
  std::string Quoted(const std::string& name) const;
  void AwaitWork();

  /// Runs `call` on the loop, unless the source is gone.
  void Post(std::function<void(Listener&)> call) {
    std::lock_guard lock(mutex);
    if (closed) return;
    loop->Post([self = shared_from_this(), call = std::move(call)] {
      if (!self->gone) call(self->listener);
    });
  }
  void Wake() const {
    uint64_t one = 1;
    (void)!write(wake_fd, &one, sizeof(one));
  }

  Executor* loop;  // used under the mutex, while not closed
  const PostgresSourceOptions options;
  Listener listener;  // used on the loop
  bool gone = false;  // used on the loop
  const int wake_fd;

  std::mutex mutex;
  std::condition_variable answered;
  bool closed = false;
  bool waiting = false;  // for Done
  std::vector<std::string> done_keys;
  std::vector<std::string> skipped;

  Connection connection;  // the thread's
};

PostgresSource::PostgresSource(Executor& loop, PostgresSourceOptions options, Listener listener)
    : shared_(std::make_shared<Shared>(loop, std::move(options), std::move(listener))) {
  std::thread([shared = shared_] { shared->Work(); }).detach();
}

PostgresSource::~PostgresSource() {
  shared_->gone = true;
  shared_->listener = {};
  std::lock_guard lock(shared_->mutex);
  shared_->closed = true;
  shared_->answered.notify_all();
  shared_->Wake();
}

void PostgresSource::Done(std::vector<std::string> keys, std::vector<std::string> skipped) {
  std::lock_guard lock(shared_->mutex);
  shared_->done_keys = std::move(keys);
  shared_->skipped.insert(shared_->skipped.end(), skipped.begin(), skipped.end());
  shared_->waiting = false;
  shared_->answered.notify_all();
}

void PostgresSource::Shared::Work() {
  NameThread("postgres-source");
  Status status = Serve();
  connection.reset();
  if (!status.ok()) {
    Post([reason = status.message()](Listener& l) { l.on_failure(reason); });
  }
}

Status PostgresSource::Shared::Connect() {
  ASSIGN_OR_RETURN(Parameters parameters, Parse(options.url));
  parameters.emplace_back("hostaddr", options.address);
  if (!options.password.empty()) parameters.emplace_back("password", options.password);
  parameters.insert(parameters.end(), {{"connect_timeout", "5"},
                                       {"tcp_user_timeout", "15000"},
                                       {"keepalives_idle", "10"},
                                       {"keepalives_interval", "3"},
                                       {"keepalives_count", "3"},
                                       {"passfile", "/dev/null"},
                                       {"client_encoding", "UTF8"},
                                       {"application_name", "dispatch-driver"}});
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  connection.reset(PQconnectdbParams(names.data(), values.data(), 0));
  if (PQstatus(connection.get()) == CONNECTION_OK) return {};
  return {Code::kUnavailable, "cannot connect: " + FirstLine(PQerrorMessage(connection.get()))};
}

std::string PostgresSource::Shared::Quoted(const std::string& name) const {
  std::string out;
  size_t begin = 0;
  while (begin <= name.size()) {
    size_t end = std::min(name.find('.', begin), name.size());
    char* part = PQescapeIdentifier(connection.get(), name.data() + begin, end - begin);
    out += (out.empty() ? "" : ".") + std::string(part != nullptr ? part : "");
    PQfreemem(part);
    begin = end + 1;
  }
  return out;
}

Result<Answer> PostgresSource::Shared::Run(const std::string& sql,
                                           const std::vector<std::string>& values) {
  std::vector<const char*> given;
  given.reserve(values.size());
  for (const auto& value : values) given.push_back(value.c_str());
  Answer answer(PQexecParams(connection.get(), sql.c_str(), static_cast<int>(given.size()), nullptr,
                             given.data(), nullptr, nullptr, 0));
  ExecStatusType status = PQresultStatus(answer.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return answer;
  bool lost = PQstatus(connection.get()) != CONNECTION_OK;
  return Error{Code::kUnavailable, fmt::format("{}{}", lost ? "the connection is lost: " : "",
                                               FirstLine(PQerrorMessage(connection.get())))};
}

Status PostgresSource::Shared::TakeRows(bool* full) {
  std::string key = Quoted(options.key);
  std::vector<pg::Value> left_alone;
  {
    std::lock_guard lock(mutex);
    left_alone.assign(skipped.begin(), skipped.end());
  }
  std::string where = fmt::format("({0} = any($1)) is not true", key);
  if (!options.mark.empty()) where += fmt::format(" and {} is null", Quoted(options.mark));
  ASSIGN_OR_RETURN(Answer answer,
                   Run(fmt::format("select {0}::text, to_jsonb(o)::text, "
                                   "coalesce(to_jsonb(o)->'payload', to_jsonb(o)->'data')::text "
                                   "from {1} o where {2} order by {0} limit {3}",
                                   key, Quoted(options.table), where, kPage),
                       {pg::EncodeArray(left_alone)}));
  std::vector<OutboxRowText> rows;
  for (int i = 0; i < PQntuples(answer.get()); ++i) {
    auto field = [&](int column) { return std::string(PQgetvalue(answer.get(), i, column)); };
    OutboxRowText row{field(0), field(1), std::nullopt};
    if (PQgetisnull(answer.get(), i, 2) == 0) row.payload = field(2);
    rows.push_back(std::move(row));
  }
  *full = rows.size() >= kPage;
  if (rows.empty()) return {};
  {
    std::lock_guard lock(mutex);
    waiting = true;
  }
  Post([rows = std::move(rows)](Listener& l) { l.on_rows(rows); });
  std::unique_lock lock(mutex);
  answered.wait(lock, [this] { return closed || !waiting; });
  if (closed) return {};
  auto keys = std::exchange(done_keys, {});
  lock.unlock();
  return Forget(keys);
}

Status PostgresSource::Shared::Forget(const std::vector<std::string>& keys) {
  if (keys.empty()) return {};
  std::vector<pg::Value> values(keys.begin(), keys.end());
  std::string table = Quoted(options.table);
  std::string sql =
      options.mark.empty()
          ? fmt::format("delete from {} where {} = any($1)", table, Quoted(options.key))
          : fmt::format("update {} set {} = now() where {} = any($1)", table, Quoted(options.mark),
                        Quoted(options.key));
  return Run(sql, {pg::EncodeArray(values)}).status();
}

void PostgresSource::Shared::TakeNotifications() {
  while (PGnotify* found = PQnotifies(connection.get())) {
    std::string payload(found->extra);
    PQfreemem(found);
    if (!options.table.empty()) continue;  // it woke us, no more
    Post([payload = std::move(payload)](Listener& l) { l.on_notification(payload); });
  }
}

void PostgresSource::Shared::AwaitWork() {
  pollfd fds[2] = {{PQsocket(connection.get()), POLLIN, 0}, {wake_fd, POLLIN, 0}};
  poll(fds, 2, static_cast<int>(options.poll.count() * 1000));
}

Status PostgresSource::Shared::Serve() {
  RETURN_IF_ERROR(Connect());
  RETURN_IF_ERROR(Run("set statement_timeout = 30000", {}));
  if (!options.channel.empty()) RETURN_IF_ERROR(Run("listen " + Quoted(options.channel), {}));
  bool ready = false;
  for (;;) {
    bool full = false;
    if (!options.table.empty()) RETURN_IF_ERROR(TakeRows(&full));
    {
      std::lock_guard lock(mutex);
      if (closed) return {};
    }
    if (!std::exchange(ready, true)) {
      Post([](Listener& l) { l.on_ready(); });
    }
    TakeNotifications();
    if (full) continue;
    AwaitWork();
    if (PQconsumeInput(connection.get()) == 0 || PQstatus(connection.get()) != CONNECTION_OK) {
      return {Code::kUnavailable,
              "the connection is lost: " + FirstLine(PQerrorMessage(connection.get()))};
    }
    TakeNotifications();
  }
}

}  // namespace dispatch
