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
  std::string place = {};      // "objects.yaml, document 2"
  std::string directory = {};  // of the file; empty: of none
};

/// The documents of --file: a file, a URL or (-) standard input. Each tells its `kind`, unless
/// `kind` does. Errors name file and document.
Result<std::vector<Document>> ReadDocuments(const Environment& environment, const std::string& path,
                                            const Kind* kind);

/// Puts the files that a document names into it: `sourcePath` of a function becomes `source`, and
/// `@file` as the manifest of an image its text. Paths are tried from `work_directory` (empty: the
/// current one), then from the directory of the document's file.
Status ResolveFiles(Document& document, const std::string& work_directory);
/// -w, of the verbs that take files.
Flag WorkDirectoryFlag();

/// The documents of seed images: VMware's base images, and an image of each.
std::vector<Document> SeedImages();
/// "seed-images", and VMware's short "seed".
bool IsSeed(std::string_view word);

/// `error` with the place before its message.
Error At(const std::string& place, Error error);

/// How "Created X: name" names the kind: of a document of a file or seed, as documents do; else
/// by its own label. Both are VMware's words.
std::string LabelOf(const Document& document);

/// A usage error for a flag of another kind than this one. `own`: flags of the command itself.
Status CheckFlags(const Arguments& arguments, const Kind& kind, const std::vector<Flag>& own);

/// Flags of all kinds, each name once, for taking a command line apart.
std::vector<Flag> FlagsOfAllKinds();

/// The kind that a command line is about: the first word that is one. Null: none is.
const Kind* KindAmong(const std::vector<std::string>& words);
/// `flags`, and before them those of that kind, whose letters count.
std::vector<Flag> WithFlagsOfKind(const std::vector<std::string>& words, std::vector<Flag> flags);

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
