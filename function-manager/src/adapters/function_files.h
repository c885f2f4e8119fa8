#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/pg/pool.h"
#include "function-manager/src/adapters/image_builder.h"

namespace dispatch {

/// The files that functions run from: a cache below one directory, private to this instance
/// (decision 0017, 4). `images/<digest>` has installed dependencies, `sources/<digest>` an unpacked
/// archive; each is made under another name and renamed when it is complete. What several want at
/// once is made once. Builds run on four threads of its own, sources are unpacked on one more;
/// everything else is done on the loop.
class FunctionFiles {
 public:
  struct Options {
    std::string directory;
    ToolOptions tools;
  };
  /// A directory; kUnprocessable when it cannot be made of this (a tool's words), kUnavailable
  /// when not now.
  using Done = std::function<void(Result<std::string>)>;
  /// The end of what the tool said, in whole lines: each second while there is more, then done.
  using Heard = std::function<void(const std::string& said)>;

  FunctionFiles(Loop& loop, pg::Pool& pool, Options options);
  ~FunctionFiles();

  /// The directory of a recipe that is given, or (manifest empty) of the digest in PostgreSQL;
  /// an empty digest has none: "".
  void Image(const std::string& digest, Done done);
  void Build(const ImageRecipe& recipe, Heard heard, Done done);
  void Source(const std::string& digest, Done done);

  /// Removes the directories that are not among `used` digests and were not asked for since
  /// `idle`.
  void Collect(std::set<std::string> used, Duration idle);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch
