#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "cli/src/api.h"
#include "cli/src/arguments.h"
#include "cli/src/connection.h"
#include "cli/src/environment.h"
#include "cli/src/output.h"

namespace dispatch::cli {

/// What a command works with.
struct Invocation {
  Arguments arguments;  // without the command's own name
  Environment environment;
  Format format = Format::kTable;
  std::ostream& out;
  std::ostream& err;
  std::function<Result<Connection>()> connection;
  /// Connects at its first use; the same one every time.
  std::function<Result<Api*>()> api;
  /// What the program ends with when the command succeeds.
  int exit_code = 0;

  /// `value` in the format asked for, or `table` of it.
  void Print(const json::value& value, const std::function<std::string()>& table) const;
};

/// What help says of a command.
struct CommandInfo {
  std::string name;
  std::string usage;    // behind the name
  std::string summary;  // one line
  std::string text;     // more, in lines of at most 80 characters
  std::vector<Flag> flags = {};
  std::vector<std::string> examples = {};
  /// Its words go to another program as they are.
  bool raw = false;
  /// Of other programs' use: help does not list it.
  bool hidden = false;
};

/// One verb of the program.
class Command {
 public:
  virtual ~Command() = default;
  virtual const CommandInfo& info() const = 0;
  /// Those that these words are read by: `info().flags`, but for a letter that stands for something
  /// else with some of them.
  virtual std::vector<Flag> FlagsFor(const std::vector<std::string>& /*words*/) const {
    return info().flags;
  }
  /// What `help VERB WORD` says; empty: nothing of its own.
  virtual std::string HelpFor(const std::string& /*word*/) const { return {}; }
  virtual Status Run(Invocation& invocation) const = 0;
};

using CommandPtr = std::unique_ptr<Command>;

/// All of them, in the order of help.
const std::vector<CommandPtr>& Commands();
const Command* FindCommand(std::string_view name);

/// Flags of every command: -o, -h and those of ConnectionFlags.
std::vector<Flag> CommonFlags();

std::string HelpText();
std::string HelpText(const Command& command);
/// "  --name VALUE   help" lines, aligned.
std::string FlagHelp(const std::vector<Flag>& flags);
std::string ExampleHelp(const std::vector<std::string>& examples);

// commands/*.cc
CommandPtr MakeCreate();
CommandPtr MakeGet();
CommandPtr MakeUpdate();
CommandPtr MakeApply();
CommandPtr MakeDelete();
CommandPtr MakeEdit();
CommandPtr MakeExec();
CommandPtr MakeEmit();
CommandPtr MakeLog();
CommandPtr MakeCancel();
CommandPtr MakeRerun();
CommandPtr MakeRollback();
CommandPtr MakeRotateToken();
CommandPtr MakePublish();
CommandPtr MakeTail();
CommandPtr MakeTrace();
CommandPtr MakeAttempts();
CommandPtr MakeDeadLetters();
CommandPtr MakeLag();
CommandPtr MakeDoctor();
CommandPtr MakePause();
CommandPtr MakeResume();
CommandPtr MakeRewind();
CommandPtr MakeReplay();
CommandPtr MakeUp();
CommandPtr MakeDown();
CommandPtr MakeStatus();
CommandPtr MakeContext();
CommandPtr MakeLogin();
CommandPtr MakeManage();
CommandPtr MakeLogout();
CommandPtr MakeVersion();
CommandPtr MakeCompletion();
CommandPtr MakeComplete();
CommandPtr MakeHelp();

}  // namespace dispatch::cli
