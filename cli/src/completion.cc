#include "cli/src/completion.h"

#include <algorithm>
#include <sstream>

#include "cli/src/commands/objects.h"
#include "cli/src/commands/runs.h"
#include "cli/src/program.h"

namespace dispatch::cli {

namespace {

constexpr std::chrono::milliseconds kPatience{2'000};

constexpr char kBash[] =
    R"(# bash completion of dispatch. In ~/.bashrc: source <(dispatch completion bash)
_dispatch_complete() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = ":files" ]; then
      compopt -o filenames
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$2")
    else
      COMPREPLY+=("${line%%$'\t'*}")
    fi
  done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _dispatch_complete dispatch
)";

constexpr char kZsh[] = R"(#compdef dispatch
# zsh completion of dispatch. In ~/.zshrc: source <(dispatch completion zsh)
_dispatch() {
  local -a candidates
  local line files=0
  while IFS= read -r line; do
    if [[ "$line" == ":files" ]]; then
      files=1
    else
      candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    fi
  done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( ${#candidates} )) && _describe dispatch candidates
  (( files )) && _files
}
if [[ "$funcstack[1]" == _dispatch ]]; then _dispatch "$@"; else compdef _dispatch dispatch; fi
)";

constexpr char kFish[] = R"(# fish completion of dispatch: dispatch completion fish | source
function __dispatch_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in ($words[1] __complete $words[2..-1] 2>/dev/null)
    if test "$line" = ":files"
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
complete -c dispatch -f -a '(__dispatch_complete)'
)";

const Flag* FlagOf(const std::vector<Flag>& flags, const std::string& word) {
  auto it = std::find_if(flags.begin(), flags.end(), [&](const Flag& flag) {
    return word == "--" + flag.name || (flag.letter != 0 && word == std::string("-") + flag.letter);
  });
  return it == flags.end() ? nullptr : &*it;
}

// The words of "binary|structured"; nothing of "NAME" or "CESQL|JSON", which are no words to type.
std::vector<std::string> Alternatives(const std::string& syntax) {
  std::vector<std::string> words;
  if (syntax.find('|') == std::string::npos) return words;
  std::istringstream parts(syntax);
  for (std::string word; std::getline(parts, word, '|');) {
    bool typed = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::islower(c) != 0 || c == '-';
    });
    if (typed) words.push_back(word);
  }
  return words;
}

/// One completion under way.
class Completer {
 public:
  Completer(const Invocation& invocation, std::string typed)
      : invocation_(invocation), typed_(std::move(typed)) {}

  void Offer(const std::string& word, const std::string& what) {
    if (word.starts_with(typed_)) found_.candidates.emplace_back(prefix_ + word, what);
  }

  void Verbs() {
    for (const CommandPtr& command : Commands()) {
      if (!command->info().hidden) Offer(command->info().name, command->info().summary);
    }
  }
  void KindsOf() {
    for (const Kind& kind : Kinds()) Offer(kind.name, "kind");
  }
  void Flags(const std::vector<Flag>& flags) {
    for (const Flag& flag : flags) {
      if (!flag.hidden) Offer("--" + flag.name, flag.help);
    }
  }
  // The names that there are of a kind. Whoever may not see them has none.
  void Names(const std::string& kind_name) {
    auto kind = FindKind(kind_name);
    auto api = invocation_.api();
    if (!kind.ok() || !api.ok()) return;
    auto answer = (*api)->Send({.path = (*kind)->path, .timeout = kPatience});
    auto list = answer.ok() ? json::Parse(answer->body) : Result<json::value>(answer.error());
    if (!list.ok() || !list->is_array()) return;
    for (const auto& element : list->as_array()) {
      const auto* object = element.if_object();
      if (object == nullptr) continue;
      Offer(Printable(json::GetString(*object, "name")), (*kind)->name);
    }
  }
  // What a word of a usage line, or the value of a flag, stands for.
  void Values(std::string syntax, const std::string& kind_before) {
    while (syntax.ends_with('.') || syntax.ends_with(']')) syntax.pop_back();
    while (syntax.starts_with('[')) syntax.erase(0, 1);
    for (const std::string& word : Alternatives(syntax)) Offer(word, "");
    if (syntax == "TOPIC") Names("topic");
    if (syntax == "SUBSCRIPTION") Names("subscription");
    if (syntax == "SECRET") Names("secret");
    if (syntax == "FUNCTION") Names("function");
    if (syntax == "IMAGE") Names("image");
    if (syntax == "PATH") found_.files = true;
    if (syntax == "BASE_IMAGE") Names("base-image");
    if (syntax == "KIND") KindsOf();
    if (syntax == "NAME" && !kind_before.empty()) Names(kind_before);
    if (syntax == "VERB") Verbs();
    if (syntax.starts_with("FILE") || syntax.find("@FILE") != std::string::npos)
      found_.files = true;
  }
  // "--name=typed": the candidates keep what stands before.
  void Behind(std::string prefix) {
    prefix_ = std::move(prefix);
    typed_ = typed_.substr(prefix_.size());
  }

  const std::string& typed() const { return typed_; }
  Completion Take() { return std::move(found_); }

 private:
  const Invocation& invocation_;
  std::string typed_;
  std::string prefix_;
  Completion found_;
};

// bash makes three words of --flag=value.
void JoinEquals(std::vector<std::string>& words) {
  size_t count = words.size();
  if (count >= 2 && words[count - 1] == "=" && words[count - 2].starts_with("--")) {
    words[count - 1].clear();
  } else if (count >= 3 && words[count - 2] == "=" && words[count - 3].starts_with("--")) {
    words.erase(words.end() - 2);
  }
}

std::vector<Flag> FlagsFor(const Command& command, const std::vector<std::string>& positionals) {
  std::vector<Flag> flags = command.info().flags;
  bool of_kinds = command.info().name == "create" || command.info().name == "update";
  if (of_kinds && !positionals.empty()) {
    if (auto kind = FindKind(positionals[0]); kind.ok()) {
      std::vector<Flag> all = FlagsOfAllKinds();
      std::erase_if(flags, [&](const Flag& flag) {
        return FlagOf(all, "--" + flag.name) != nullptr &&
               FlagOf((*kind)->flags, "--" + flag.name) == nullptr;
      });
    }
  }
  for (Flag& flag : CommonFlags()) flags.push_back(std::move(flag));
  return flags;
}

// The n-th word of "SUBSCRIPTION --to WHERE", up to where flags begin; the last "..." goes on.
std::string UsageWord(const std::string& usage, size_t n) {
  std::istringstream words(usage);
  std::string last;
  for (std::string word; words >> word;) {
    if (word.starts_with('-') || word == "or" || word == "[FLAGS]") break;
    if (n-- == 0) return word;
    last = word;
  }
  return last.find("...") == std::string::npos ? "" : last;
}

}  // namespace

Completion Complete(std::vector<std::string> words, const Invocation& invocation) {
  if (words.empty()) words.emplace_back();
  JoinEquals(words);
  Completer completer(invocation, words.back());
  words.pop_back();
  std::vector<std::string> rest = words;
  std::string verb = TakeVerb(rest);
  const Command* command = FindCommand(verb);
  if (command == nullptr) {
    if (!verb.empty()) return completer.Take();
    auto common = CommonFlags();
    const Flag* before = words.empty() ? nullptr : FlagOf(common, words.back());
    if (before != nullptr && !before->value.empty()) {
      completer.Values(before->value, "");
    } else if (completer.typed().starts_with('-')) {
      completer.Flags(common);
    } else {
      completer.Verbs();
    }
    return completer.Take();
  }
  if (command->info().raw) return completer.Take();

  // What stands before: words, and maybe a flag that waits for its value.
  std::vector<std::string> positionals;
  const Flag* waiting = nullptr;
  auto every = FlagsFor(*command, {});
  for (const std::string& word : rest) {
    if (std::exchange(waiting, nullptr) != nullptr) continue;
    const Flag* flag = FlagOf(every, word);
    if (flag != nullptr && !flag->value.empty()) waiting = flag;
    if (!word.starts_with('-') || word == "-") positionals.push_back(word);
  }
  std::string kind = positionals.empty() ? "" : positionals[0];
  const std::string& typed = completer.typed();
  size_t equals = typed.find('=');
  if (waiting != nullptr) {
    completer.Values(waiting->value, waiting->name == "function" ? "function" : "");
  } else if (typed.starts_with("--") && equals != std::string::npos) {
    const Flag* flag = FlagOf(every, typed.substr(0, equals));
    completer.Behind(typed.substr(0, equals + 1));
    if (flag != nullptr) completer.Values(flag->value, "");
  } else if (typed.starts_with('-')) {
    completer.Flags(FlagsFor(*command, positionals));
  } else {
    std::string syntax = UsageWord(command->info().usage, positionals.size());
    const std::string& verb_name = command->info().name;
    if (verb_name == "get" && syntax == "KIND") completer.Offer("run", "runs of functions");
    if (verb_name == "get" && IsRuns(kind)) kind = "function";
    bool makes = verb_name == "create" || verb_name == "update";
    if (auto known = FindKind(kind); makes && positionals.size() == 2 && known.ok()) {
      syntax = (*known)->argument;
    }
    // A name that is to be made is nobody's yet.
    if (verb_name != "create" || syntax != "NAME") completer.Values(syntax, kind);
  }
  return completer.Take();
}

Result<std::string> CompletionScript(std::string_view shell) {
  if (shell == "bash") return std::string(kBash);
  if (shell == "zsh") return std::string(kZsh);
  if (shell == "fish") return std::string(kFish);
  return UsageError("completion is for bash, zsh or fish");
}

}  // namespace dispatch::cli
