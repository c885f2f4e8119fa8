#include "common/pg/internal/session.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <pqxx/pqxx>
#include <thread>
#include <unordered_map>
#include <utility>

#include "common/crypto.h"
#include "common/log.h"

namespace dispatch::pg::internal {

namespace {

constexpr int kMaxAttempts = 5;
// A program has a few dozen statements; one that makes them up at run time must not fill the
// server.
constexpr size_t kMaxPrepared = 500;

std::string FirstLine(const char* text) {
  std::string line(text);
  line.resize(std::min(line.find('\n'), line.size()));
  return line;
}

// What an exception of libpqxx comes to.
struct Failure {
  Error error;
  bool again = false;  // 40001, 40P01: the same transaction may well succeed
  bool lost = false;   // the connection is of no more use
};

Failure Unavailable(std::string message) {
  return {{Code::kUnavailable, std::move(message), true, {}}, false, true};
}

Failure Classify() {
  try {
    throw;
  } catch (const pqxx::unique_violation& e) {
    return {{Code::kAlreadyExists, FirstLine(e.what()), false, {}}};
  } catch (const pqxx::foreign_key_violation& e) {
    return {{Code::kConflict, FirstLine(e.what()), false, {}}};
  } catch (const pqxx::statement_completion_unknown& e) {
    return Unavailable(FirstLine(e.what()));
  } catch (const pqxx::transaction_rollback& e) {
    return {{Code::kUnavailable, FirstLine(e.what()), true, {}}, true};
  } catch (const pqxx::broken_connection& e) {
    return Unavailable(fmt::format("PostgreSQL is away: {}", FirstLine(e.what())));
  } catch (const pqxx::in_doubt_error& e) {
    return Unavailable(fmt::format(
        "the connection went during the commit, which may have happened: {}", FirstLine(e.what())));
  } catch (const pqxx::sql_error& e) {
    const std::string state = e.sqlstate();
    std::string message = fmt::format("{} (SQLSTATE {})", FirstLine(e.what()), state);
    if (state == "40001" || state == "40P01") {
      return {{Code::kUnavailable, std::move(message), true, {}}, true};
    }
    // What JSON may have and jsonb may not.
    if (state == "22P05") {
      return {{Code::kUnprocessable,
               "a text has the character NUL (\\u0000), which cannot be kept: leave it out",
               false}};
    }
    if (state == "57014") return {{Code::kDeadlineExceeded, std::move(message), true, {}}};
    // Shut down, connection trouble, no resources, read-only after a failover.
    if (state.starts_with("57P") || state.starts_with("08") || state.starts_with("53") ||
        state == "25006" || state == "25P03") {
      return Unavailable(std::move(message));
    }
    return {{Code::kInternal, std::move(message), false, {}}};
  } catch (const std::exception& e) {
    return {{Code::kInternal, FirstLine(e.what()), false, {}}};
  }
}

struct SettingFault {
  std::string_view sign;  // in libpq's text
  std::string_view remedy;
};

// Refusals that no waiting mends. libpq gives no code for them, only text.
constexpr SettingFault kSettingFaults[] = {
    {"certificate verify failed",
     "sslrootcert in the setting pg-url must name the authority that signed the server's "
     "certificate"},
    {"root certificate file",
     "sslrootcert in the setting pg-url must name a file with the authority that signed the "
     "server's certificate"},
    {"does not match host name",
     "the setting pg-url must name the server by a name that is in its certificate"},
    {"server does not support SSL",
     "the setting pg-url asks for TLS by sslmode: turn ssl on in the server, or ask for less"},
    {"password authentication failed",
     "the user or the password in the setting pg-url, or in the file of its passfile, is wrong"},
    {"no password supplied",
     "the server wants a password: put it into the setting pg-url, or name a file of mode 0600 "
     "there with passfile"},
    {"no encryption", "the server wants TLS: add sslmode=verify-full to the setting pg-url"},
    {"no pg_hba.conf entry",
     "the server's pg_hba.conf lets nobody in like this: check the setting pg-url, or add a line"},
};

// Why no connection came about. libpq's text names the host and the user, never the password.
Error ConnectError(const char* text) {
  std::string line = FirstLine(text);
  for (const SettingFault& fault : kSettingFaults) {
    if (line.find(fault.sign) == std::string::npos) continue;
    return {Code::kUnavailable,
            fmt::format("cannot connect to PostgreSQL: {}: {}", line, fault.remedy), false};
  }
  return {Code::kUnavailable,
          fmt::format("cannot connect to PostgreSQL: {}: see that it is up, and the setting pg-url",
                      line),
          true};
}

// Adds what the URL or the key=value words leave open.
std::string ConnectionString(const PoolOptions& options) {
  auto seconds = std::max<int64_t>(
      2, std::chrono::ceil<std::chrono::seconds>(options.connect_timeout).count());
  const std::pair<std::string, std::string> defaults[] = {
      {"connect_timeout", std::to_string(seconds)},
      {"application_name",
       options.application_name.empty() ? "dispatch" : options.application_name},
      // A server that went without a word is noticed within a quarter of a minute.
      {"keepalives_idle", "10"},
      {"keepalives_interval", "3"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", "15000"},
  };
  bool url = options.url.starts_with("postgresql://") || options.url.starts_with("postgres://");
  std::string out = options.url;
  for (const auto& [key, value] : defaults) {
    if (options.url.find(key + "=") != std::string::npos) continue;
    if (url) {
      out += out.find('?') == std::string::npos ? '?' : '&';
    } else {
      out += ' ';
    }
    out += key + "=" + value;
  }
  return out;
}

}  // namespace

class Session::Handle {
 public:
  explicit Handle(const std::string& connection_string) : connection(connection_string) {}

  const std::string& Prepare(const std::string& sql) {
    auto it = names_.find(sql);
    if (it != names_.end()) return it->second;
    if (names_.size() >= kMaxPrepared) {
      for (const auto& [text, name] : names_) connection.unprepare(name);
      names_.clear();
    }
    std::string name = fmt::format("s{}", next_++);
    connection.prepare(name, sql);
    return names_.emplace(sql, std::move(name)).first->second;
  }

  pqxx::connection connection;
  bool used = false;  // a transaction succeeded on it

 private:
  std::unordered_map<std::string, std::string> names_;
  uint64_t next_ = 0;
};

struct Session::Attempt {
  Status status;
  bool again = false;
  bool lost = false;
  bool committing = false;
};

namespace {

template <typename Handle>
class OpenTransaction final : public Transaction {
 public:
  OpenTransaction(Handle& handle, pqxx::transaction_base& work, Unit unit)
      : handle_(handle), work_(work), unit_(unit) {}

  Result<Rows> Exec(const std::string& sql, const std::vector<Value>& params) override {
    if (!Begin()) return failure->error;
    std::vector<const char*> fields;
    fields.reserve(params.size());
    for (const Value& param : params) {
      if (param && param->find('\0') != std::string::npos) {
        failure = Failure{{Code::kInvalidArgument,
                           "text for PostgreSQL must not hold zero bytes; use EncodeBytea",
                           false,
                           {}}};
        return failure->error;
      }
      fields.push_back(param ? param->c_str() : nullptr);
    }
    try {
      pqxx::result result =
          work_.exec_prepared(handle_.Prepare(sql), pqxx::prepare::make_dynamic_params(fields));
      std::vector<std::vector<Value>> rows;
      rows.reserve(result.size());
      for (const auto& row : result) {
        auto& out = rows.emplace_back();
        out.reserve(row.size());
        for (const auto& field : row) {
          if (field.is_null()) {
            out.emplace_back();
          } else {
            out.emplace_back(std::in_place, field.c_str(), field.size());
          }
        }
      }
      return Rows(std::move(rows), result.affected_rows());
    } catch (...) {
      failure = Classify();
      return failure->error;
    }
  }

  Status ExecScript(const std::string& sql) override {
    if (!Begin()) return failure->error;
    try {
      work_.exec(sql);
      return OkStatus();
    } catch (...) {
      failure = Classify();
      return failure->error;
    }
  }

  std::optional<Failure> failure;

 private:
  bool Begin() {
    if (!failure && unit_ == Unit::kStatement && std::exchange(begun_, true)) {
      failure = Failure{{Code::kInternal, "more than one statement without a transaction"}};
    }
    return !failure;
  }

  Handle& handle_;
  pqxx::transaction_base& work_;
  const Unit unit_;
  bool begun_ = false;
};

}  // namespace

Session::Session(const PoolOptions& options) : options_(options) {}
Session::~Session() { Disconnect(); }

Status Session::Connect() {
  if (handle_) return OkStatus();
  const Error stopping{Code::kCancelled, "the program is stopping"};
  {
    std::lock_guard lock(mutex_);
    if (broken_off_) return stopping;
  }
  try {
    auto handle = std::make_unique<Handle>(ConnectionString(options_));
    pqxx::nontransaction setup(handle->connection);
    setup.exec(fmt::format(
        "set statement_timeout = {}; "
        "set idle_in_transaction_session_timeout = {}; set bytea_output = hex",
        options_.statement_timeout.count(), options_.idle_in_transaction_timeout.count()));
    std::lock_guard lock(mutex_);
    if (broken_off_) return stopping;
    socket_ = handle->connection.sock();
    handle_ = std::move(handle);
    return OkStatus();
  } catch (const std::exception& e) {
    return ConnectError(e.what());
  }
}

void Session::Disconnect() {
  {
    std::lock_guard lock(mutex_);
    socket_ = -1;
  }
  handle_.reset();
}

void Session::BreakOff() {
  std::lock_guard lock(mutex_);
  broken_off_ = true;
  if (socket_ >= 0) shutdown(socket_, SHUT_RDWR);
}

Session::Attempt Session::Once(const Pool::Work& work, Unit unit) {
  Attempt attempt;
  attempt.status = Connect();
  if (!attempt.status.ok()) return attempt;
  auto fail = [&](const Failure& failure) {
    attempt.status = failure.error;
    attempt.again = failure.again;
    attempt.lost = failure.lost;
  };
  try {
    std::unique_ptr<pqxx::transaction_base> transaction;
    if (unit == Unit::kStatement) {
      transaction = std::make_unique<pqxx::nontransaction>(handle_->connection);
    } else {
      transaction = std::make_unique<pqxx::work>(handle_->connection);
    }
    OpenTransaction<Handle> open(*handle_, *transaction, unit);
    attempt.status = work(open);
    if (open.failure) {
      fail(*open.failure);
    } else if (attempt.status.ok()) {
      attempt.committing = true;
      transaction->commit();
      handle_->used = true;
    }
    // Else the transaction's end rolls back.
  } catch (...) {
    fail(Classify());
  }
  if (attempt.lost || (handle_ && !handle_->connection.is_open())) {
    attempt.lost = true;
  }
  return attempt;
}

Status Session::Run(const Pool::Work& work, Unit unit) {
  bool reconnected = false;
  for (int number = 1;; ++number) {
    bool kept = handle_ && handle_->used;
    Attempt attempt = Once(work, unit);
    if (attempt.lost) {
      Disconnect();
      // Nothing of the transaction is in the database before its commit was sent.
      if (kept && !attempt.committing && !reconnected) {
        reconnected = true;
        continue;
      }
    }
    if (!attempt.again || number >= kMaxAttempts) return attempt.status;
    if (log::Sometimes("pg.again")) {
      log::Info("transaction tried again attempt={} reason=\"{}\"", number,
                attempt.status.message());
    }
    // 1 to 2 ms, doubling, so that the two that met do not meet again.
    auto base = uint64_t{1000} << (number - 1);
    std::this_thread::sleep_for(std::chrono::microseconds(base + crypto::RandomU64() % base));
  }
}

}  // namespace dispatch::pg::internal
