#include "api-gateway/src/domain/run_answer.h"

#include <string>

namespace dispatch::gateway {

int RunStatusOf(const json::object& run) {
  const auto* error = json::GetObject(run, "error");
  if (error == nullptr) return 200;
  std::string type = json::GetString(*error, "type");
  if (type == "InputError") return 422;
  if (type == "SystemError") return 503;
  bool late = json::GetString(*error, "message").find("exceeded the timeout") != std::string::npos;
  return late ? 504 : 502;
}

}  // namespace dispatch::gateway
