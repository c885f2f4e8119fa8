// A libFuzzer target: whatever the text and the attribute are, compiling and evaluating ends, and
// filter and program agree.
//
// The input is the expression and, after a NUL, the value of the attributes `subject` and `ext`.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "event-manager/src/domain/filter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dispatch;  // NOLINT(google-build-using-namespace)
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string_view expression = input.substr(0, input.find('\0'));
  std::string_view value = expression.size() < size ? input.substr(expression.size() + 1) : "";

  auto program = cesql::Program::Compile(expression);
  if (!program.ok()) return 0;
  cloudevents::Event event;
  for (const char* name : {"specversion", "id", "source", "type"}) event.Set(name, "1");
  event.Set("subject", std::string(value));
  event.Set("ext", std::string(value));
  EventView view(event);
  cesql::Answer answer = program->Evaluate(view);
  bool holds = answer.errors.empty() && answer.type == cesql::Type::kBoolean && answer.number == 1;
  if (program->Holds(view) != holds) std::abort();
  auto filter = Filter::Parse({{"sql", expression}}, "filter");
  if (filter.ok() && filter->Matches(view) != holds) std::abort();
  return 0;
}
