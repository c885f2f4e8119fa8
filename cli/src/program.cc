#include "cli/src/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "cli/src/command.h"
#include "common/version.h"

namespace dispatch::cli {

namespace {

std::string NearestVerb(std::string_view word) {
  for (const CommandPtr& command : Commands()) {
    const std::string& name = command->info().name;
    if (!command->info().hidden && word.size() >= 2 && name.substr(0, 2) == word.substr(0, 2)) {
      return fmt::format("; did you mean `{}`?", name);
    }
  }
  return "";
}

int Fail(const Error& error, std::string_view verb, std::ostream& err) {
  err << "dispatch: " << error.message << "\n";
  if (!IsUsageError(error)) return 1;
  err << "see `dispatch help" << (verb.empty() ? "" : " ") << verb << "`\n";
  return 2;
}

bool AsksForHelp(const std::vector<std::string>& words) {
  auto end = std::find(words.begin(), words.end(), "--");
  return std::any_of(words.begin(), end,
                     [](const std::string& w) { return w == "-h" || w == "--help"; });
}

int Help(const Command& command, const std::vector<std::string>& words, std::ostream& out) {
  for (const std::string& word : words) {
    std::string text = command.HelpFor(word);
    if (!text.empty()) {
      out << text;
      return 0;
    }
  }
  out << HelpText(command);
  return 0;
}

}  // namespace

std::string TakeVerb(std::vector<std::string>& words) {
  const auto flags = CommonFlags();
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "iam") {
      words.erase(words.begin() + static_cast<ptrdiff_t>(i--));
      continue;
    }
    if (!word.starts_with('-')) {
      std::string verb = word;
      words.erase(words.begin() + static_cast<ptrdiff_t>(i));
      return verb;
    }
    // A common flag before the verb, with its value in the next word.
    bool takes_next = std::any_of(flags.begin(), flags.end(), [&](const Flag& flag) {
      bool is =
          word == "--" + flag.name || (flag.letter != 0 && word == fmt::format("-{}", flag.letter));
      return is && !flag.value.empty();
    });
    if (takes_next) ++i;
  }
  return "";
}

int Main(std::vector<std::string> words, const Environment& environment, std::ostream& out,
         std::ostream& err, const std::function<std::unique_ptr<Api>(const Connection&)>& connect) {
  if (words == std::vector<std::string>{"--version"}) {
    out << fmt::format("dispatch {}\n", BuildText());
    return 0;
  }
  std::string verb = TakeVerb(words);
  if (verb.empty()) {
    bool asked = AsksForHelp(words);
    (asked ? out : err) << HelpText();
    return asked ? 0 : 2;
  }
  const Command* found = FindCommand(verb);
  if (found == nullptr) {
    return Fail(UsageError(fmt::format("there is no verb '{}'{}", verb, NearestVerb(verb))), "",
                err);
  }
  const Command& command = *found;
  const CommandInfo& info = command.info();
  if (!info.raw && AsksForHelp(words)) return Help(command, words, out);
  std::vector<Flag> flags = command.FlagsFor(words);
  for (Flag& flag : CommonFlags()) flags.push_back(std::move(flag));
  if (info.raw) words.insert(words.begin(), "--");
  auto arguments = Arguments::Parse(words, flags);
  if (!arguments.ok()) return Fail(arguments.error(), verb, err);
  auto format =
      ParseFormat(arguments->ValueOr("output", arguments->Has("json") ? "json" : "table"));
  if (!format.ok()) return Fail(format.error(), verb, err);

  std::unique_ptr<Api> api;
  auto connection = [&] { return ResolveConnection(*arguments, environment); };
  auto use_api = [&]() -> Result<Api*> {
    if (api == nullptr) {
      ASSIGN_OR_RETURN(Connection resolved, connection());
      api = connect(resolved);
    }
    return api.get();
  };
  Invocation invocation{*arguments, environment, *format, out, err, connection, use_api};
  Status status = command.Run(invocation);
  out.flush();
  return status.ok() ? invocation.exit_code : Fail(status.error(), verb, err);
}

}  // namespace dispatch::cli
