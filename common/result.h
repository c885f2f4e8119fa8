#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace dispatch {

/// The causes that callers tell apart. One table (error_table.h) maps each to an HTTP status and a
/// dead-letter reason.
enum class Code : int {
  kOk = 0,
  kInvalidArgument,     // malformed input: 400
  kUnauthenticated,     // no or bad credentials: 401
  kPermissionDenied,    // 403
  kNotFound,            // 404
  kAlreadyExists,       // 409: the name is taken
  kConflict,            // 409: the object is in use or in the wrong state
  kPreconditionFailed,  // 412: If-Match does not hold
  kTooLarge,            // 413
  kUnsupportedMedia,    // 415
  kUnprocessable,       // 422: well formed, but a schema or a reference does not hold
  kResourceExhausted,   // 429, or 503 for a full queue: try again later
  kUnavailable,         // 503: a dependency is away
  kDeadlineExceeded,    // 503 or 504
  kFenced,              // an older epoch tried to write
  kOutOfRange,          // the position is outside what the log holds
  kCancelled,
  kInternal,
};

std::string_view CodeName(Code code);

/// What is wrong with one field of a request, for `details` of the error body.
struct FieldError {
  std::string field;
  std::string reason;
};

/// Why something failed. `message` says what to do about it.
struct Error {
  Code code = Code::kInternal;
  std::string message;
  bool retryable = false;
  std::vector<FieldError> details;
};

/// Whether repeating the same call later may succeed, for errors that do not say otherwise.
bool RetryableByDefault(Code code);

/// Success or an Error; the size of a pointer.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::make_unique<Error>(std::move(error))) {}
  Status(Code code, std::string message)
      : error_(std::make_unique<Error>(Error{code, std::move(message), RetryableByDefault(code)})) {
  }
  Status(const Status& other)
      : error_(other.error_ ? std::make_unique<Error>(*other.error_) : nullptr) {}
  Status& operator=(const Status& other) {
    error_ = other.error_ ? std::make_unique<Error>(*other.error_) : nullptr;
    return *this;
  }
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;

  bool ok() const { return error_ == nullptr; }
  explicit operator bool() const { return ok(); }
  Code code() const { return error_ ? error_->code : Code::kOk; }
  /// Requires !ok().
  const Error& error() const { return *error_; }
  std::string message() const { return error_ ? error_->message : std::string(); }

 private:
  std::unique_ptr<Error> error_;
};

inline Status OkStatus() { return {}; }

/// A value or an Error.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}
  Result(Code code, std::string message)
      : state_(Error{code, std::move(message), RetryableByDefault(code)}) {}
  /// Requires !status.ok().
  Result(const Status& status) : state_(status.error()) {}

  bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }
  Code code() const { return ok() ? Code::kOk : error().code; }
  const Error& error() const { return std::get<Error>(state_); }
  Status status() const { return ok() ? Status() : Status(error()); }
  std::string message() const { return ok() ? std::string() : error().message; }

  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> state_;
};

#define DISPATCH_CONCAT_(a, b) a##b
#define DISPATCH_CONCAT(a, b) DISPATCH_CONCAT_(a, b)

/// `RETURN_IF_ERROR(Validate(x));` returns the error of a Status or Result to the caller.
#define RETURN_IF_ERROR(expression)                            \
  do {                                                         \
    auto dispatch_status = (expression);                       \
    if (!dispatch_status.ok()) return dispatch_status.error(); \
  } while (false)

/// `ASSIGN_OR_RETURN(auto x, Parse(text));` returns the error, or assigns the value.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_IMPL(DISPATCH_CONCAT(dispatch_result_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_IMPL(result, target, expression) \
  auto result = (expression);                             \
  if (!result.ok()) return result.error();                \
  target = std::move(result).value()

}  // namespace dispatch
