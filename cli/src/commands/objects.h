#pragma once

#include <string>
#include <vector>

#include "cli/src/command.h"
#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

/// One object of a file or of flags, and what it is.
struct Document {
  const Kind* kind = nullptr;
  json::object object;
  std::string place = {};  // "objects.yaml, document 2"
};

/// The documents of --file. Each tells its `kind`, unless `kind` does. Errors name file and
/// document.
Result<std::vector<Document>> ReadDocuments(const std::string& path, const Kind* kind);

/// `error` with the place before its message.
Error At(const std::string& place, Error error);

/// A usage error for a flag of another kind than this one. `own`: flags of the command itself.
Status CheckFlags(const Arguments& arguments, const Kind& kind, const std::vector<Flag>& own);

/// Flags of all kinds, each name once, for taking a command line apart.
std::vector<Flag> FlagsOfAllKinds();

/// Help of `verb` for one kind; empty when `word` is none.
std::string KindHelp(const std::string& verb, const std::string& word);

/// An object without what only the server sets and what it only shows.
json::object Writable(json::object object);

/// Collects what a command did: printed as lines, or as one object or list in the end.
class Report {
 public:
  explicit Report(Invocation& invocation) : invocation_(invocation) {}
  void Add(std::string line, json::value object);
  /// A list only when there were several.
  void Finish();

 private:
  Invocation& invocation_;
  json::array objects_;
};

}  // namespace dispatch::cli
