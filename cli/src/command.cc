#include "cli/src/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace dispatch::cli {

namespace {

constexpr char kIntroduction[] =
    "Dispatch: publish events to topics, have them delivered to endpoints and functions, and see\n"
    "where each of them is.\n";

std::string SyntaxOf(const Flag& flag) {
  std::string letter = flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : "    ";
  std::string value = flag.value.empty() ? "" : " " + flag.value;
  return fmt::format("{}--{}{}", letter, flag.name, value);
}

}  // namespace

void Invocation::Print(const json::value& value, const std::function<std::string()>& table) const {
  out << (format == Format::kTable ? table() : Serialized(value, format));
}

const std::vector<CommandPtr>& Commands() {
  static const std::vector<CommandPtr> commands = [] {
    std::vector<CommandPtr> all;
    for (auto make :
         {MakeCreate,      MakeGet,     MakeUpdate,     MakeEdit,     MakeApply,    MakeDelete,
          MakeExec,        MakeLog,     MakeCancel,     MakeRerun,    MakeRollback, MakeRotateToken,
          MakeManage,      MakeEmit,    MakePublish,    MakeTail,     MakeTrace,    MakeAttempts,
          MakeDeadLetters, MakeLag,     MakeDoctor,     MakePause,    MakeResume,   MakeRewind,
          MakeReplay,      MakeUp,      MakeDown,       MakeStatus,   MakeContext,  MakeLogin,
          MakeLogout,      MakeVersion, MakeCompletion, MakeComplete, MakeHelp}) {
      all.push_back(make());
    }
    return all;
  }();
  return commands;
}

const Command* FindCommand(std::string_view name) {
  for (const CommandPtr& command : Commands()) {
    if (command->info().name == name) return command.get();
  }
  return nullptr;
}

std::vector<Flag> CommonFlags() {
  std::vector<Flag> flags = {
      {.name = "output",
       .value = "table|json|yaml",
       .help = "form of what is printed",
       .letter = 'o'},
      {.name = "json", .help = "-o json, as VMware's command has it", .hidden = true},
      {.name = "help", .help = "this text", .letter = 'h'},
  };
  const auto& connection = ConnectionFlags();
  flags.insert(flags.end(), connection.begin(), connection.end());
  return flags;
}

std::string FlagHelp(const std::vector<Flag>& flags) {
  size_t width = 0;
  for (const Flag& flag : flags) {
    if (!flag.hidden) width = std::max(width, SyntaxOf(flag).size());
  }
  std::string out;
  for (const Flag& flag : flags) {
    if (flag.hidden) continue;
    out += fmt::format("  {:<{}}   {}{}\n", SyntaxOf(flag), width, flag.help,
                       flag.repeatable ? " (repeatable)" : "");
  }
  return out;
}

std::string ExampleHelp(const std::vector<std::string>& examples) {
  std::string out = examples.empty() ? "" : "\nExamples:\n";
  for (const std::string& example : examples) out += fmt::format("  {}\n", example);
  return out;
}

std::string HelpText() {
  std::string out = kIntroduction;
  out += "\nUsage: dispatch VERB [ARGUMENTS] [FLAGS]\n\n";
  for (const CommandPtr& command : Commands()) {
    if (command->info().hidden) continue;
    out += fmt::format("  {:<14}{}\n", command->info().name, command->info().summary);
  }
  out += "\nFlags of every verb:\n" + FlagHelp(CommonFlags());
  out += "\n`dispatch help VERB` tells more of each.\n";
  return out;
}

std::string HelpText(const Command& command) {
  const CommandInfo& info = command.info();
  std::string out =
      fmt::format("{}\n\nUsage: dispatch {} {}\n", info.summary, info.name, info.usage);
  if (!info.text.empty()) out += "\n" + info.text;
  if (!info.flags.empty()) out += "\nFlags:\n" + FlagHelp(info.flags);
  out += ExampleHelp(info.examples);
  if (!info.raw) out += "\nFlags of every verb: see `dispatch help`.\n";
  return out;
}

}  // namespace dispatch::cli
