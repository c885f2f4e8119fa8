#include "function-manager/src/adapters/function_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "common/log.h"
#include "common/thread_name.h"
#include "common/uuid.h"
#include "function-manager/src/domain/archive.h"

namespace dispatch {

namespace {

namespace fs = std::filesystem;

constexpr size_t kBuildThreads = 4;  // as many as FunctionWorker has under way
constexpr char kReadImage[] = "select language, manifest from function_images where digest = $1";
constexpr char kReadSource[] = "select bytes from function_sources where digest = $1";

Error CannotWrite(const fs::path& path, const std::string& why) {
  return {Code::kUnavailable, fmt::format("cannot write {}: {}", path.string(), why), true};
}

Status WriteMembers(const std::vector<ArchiveMember>& members, const fs::path& directory) {
  std::error_code error;
  for (const ArchiveMember& member : members) {
    fs::path path = directory / member.path;
    fs::create_directories(member.directory ? path : path.parent_path(), error);
    if (error) return CannotWrite(path, error.message());
    if (member.directory) continue;
    std::ofstream file(path, std::ios::binary);
    file.write(member.bytes.data(), static_cast<std::streamsize>(member.bytes.size()));
    file.close();
    if (!file) return CannotWrite(path, "no room, or no rights");
    chmod(path.c_str(), member.executable ? 0755 : 0644);
  }
  return {};
}

// Makes `final` by `fill` in a directory of another name.
Status MakeWhole(const fs::path& final, const std::function<Status(const fs::path&)>& fill) {
  std::error_code error;
  if (fs::exists(final, error)) return {};
  fs::path making = final.parent_path() / fmt::format(".making-{}", Uuid::Random().ToString());
  fs::create_directories(making, error);
  if (error) return CannotWrite(making, error.message());
  Status filled = fill(making);
  if (filled.ok()) {
    fs::rename(making, final, error);
    // Another process may have made the same thing meanwhile.
    std::error_code looked;
    if (error && !fs::exists(final, looked)) filled = CannotWrite(final, error.message());
  }
  fs::remove_all(making, error);
  return filled;
}

// Do what they are given, in its order; made when there is something to do.
class Threads {
 public:
  Threads(const char* name, size_t most) : name_(name), most_(most) {}
  // What is under way is waited for; what is not begun is dropped.
  ~Threads() {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
      tasks_.clear();
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void Add(std::function<void()> task) {
    {
      std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
      if (threads_.size() < most_) threads_.emplace_back([this] { Work(); });
    }
    wake_.notify_one();
  }

 private:
  void Work() {
    NameThread(name_);
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  const char* const name_;
  const size_t most_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace

struct FunctionFiles::Impl : std::enable_shared_from_this<Impl> {
  Impl(Loop& the_loop, pg::Pool& the_pool, Options the_options)
      : loop(the_loop), pool(the_pool), options(std::move(the_options)), tools(options.tools) {
    std::error_code error;
    fs::path root = fs::absolute(options.directory, error);
    options.directory = root;
    for (const char* part : {"images", "sources"}) {
      fs::create_directories(root / part, error);
      // Of those who died while making them.
      for (const auto& entry : fs::directory_iterator(root / part, error)) {
        if (entry.path().filename().string().starts_with(".making-")) {
          std::error_code ignored;
          fs::remove_all(entry.path(), ignored);
        }
      }
    }
  }

  ~Impl() { stop = true; }

  void On(Threads& threads, std::function<Status()> work, std::function<void(Status)> done) {
    threads.Add([this, weak = weak_from_this(), work = std::move(work), done = std::move(done)] {
      Status status = work();
      loop.Post([weak, status, done] {
        if (!weak.expired()) done(status);
      });
    });
  }

  fs::path PathOf(const std::string& part, const std::string& digest) const {
    return fs::path(options.directory) / part / digest;
  }

  // Joins those who wait for the same directory; true: the caller is to make it.
  bool Begin(const std::string& path, Done done) {
    asked[path] = loop.Steady();
    auto& waiting_for = waiting[path];
    waiting_for.push_back(std::move(done));
    return waiting_for.size() == 1;
  }

  void End(const std::string& path, const Status& status) {
    hearing.erase(path);
    auto found = waiting.extract(path);
    if (found.empty()) return;
    for (auto& done : found.mapped()) {
      done(status.ok() ? Result<std::string>(path) : Result<std::string>(status.error()));
    }
  }

  bool Present(const std::string& path) {
    std::error_code error;
    if (!fs::exists(path, error)) return false;
    asked[path] = loop.Steady();
    return true;
  }

  void Make(Threads& threads, const std::string& path,
            std::function<Status(const fs::path&)> fill) {
    On(
        threads, [path, fill = std::move(fill)] { return MakeWhole(path, fill); },
        [this, path](const Status& status) { End(path, status); });
  }

  void MakeImage(const std::string& path, ImageRecipe recipe) {
    auto heard = [this, weak = weak_from_this(), path](std::string said) {
      loop.Post([weak, path, said = std::move(said)] {
        if (auto impl = weak.lock()) impl->Tell(path, said);
      });
    };
    Make(builds, path, [this, heard, recipe = std::move(recipe)](const fs::path& directory) {
      return InstallDependencies(recipe, directory, tools, &stop, heard);
    });
  }

  void Tell(const std::string& path, const std::string& said) {
    auto found = hearing.find(path);
    if (found == hearing.end()) return;
    for (const Heard& heard : found->second) heard(said);
  }

  Loop& loop;
  pg::Pool& pool;
  Options options;
  Tools tools;
  std::map<std::string, std::vector<Done>> waiting;   // by path
  std::map<std::string, std::vector<Heard>> hearing;  // by path
  std::map<std::string, SteadyTime> asked;            // by path, when last
  std::atomic<bool> stop = false;                     // of the tools that build
  Threads builds{"builds", kBuildThreads};
  Threads others{"files", 1};  // unpacking and removing wait for no build
};

FunctionFiles::FunctionFiles(Loop& loop, pg::Pool& pool, Options options)
    : impl_(std::make_shared<Impl>(loop, pool, std::move(options))) {}

FunctionFiles::~FunctionFiles() = default;

void FunctionFiles::Build(const ImageRecipe& recipe, Heard heard, Done done) {
  std::string digest = recipe.Digest();
  if (digest.empty()) return done(std::string());
  std::string path = impl_->PathOf("images", digest);
  if (impl_->Present(path)) {
    heard("nothing was to be installed: the same dependencies were before");
    return done(path);
  }
  impl_->hearing[path].push_back(std::move(heard));
  if (impl_->Begin(path, std::move(done))) impl_->MakeImage(path, recipe);
}

void FunctionFiles::Image(const std::string& digest, Done done) {
  if (digest.empty()) return done(std::string());
  std::string path = impl_->PathOf("images", digest);
  if (impl_->Present(path)) return done(path);
  if (!impl_->Begin(path, std::move(done))) return;
  impl_->pool.Query<ImageRecipe>(
      [digest](pg::Transaction& tx) -> Result<ImageRecipe> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kReadImage, {digest}));
        if (rows.empty()) {
          return Error{Code::kUnavailable, "the image " + digest + " is not known any more"};
        }
        return ImageRecipe{rows[0].Text(0), rows[0].Text(1)};
      },
      [weak = std::weak_ptr(impl_), path](Result<ImageRecipe> recipe) {
        auto impl = weak.lock();
        if (impl == nullptr) return;
        if (!recipe.ok()) return impl->End(path, recipe.status());
        impl->MakeImage(path, std::move(*recipe));
      });
}

void FunctionFiles::Source(const std::string& digest, Done done) {
  std::string path = impl_->PathOf("sources", digest);
  if (impl_->Present(path)) return done(path);
  if (!impl_->Begin(path, std::move(done))) return;
  impl_->pool.Query<std::string>(
      [digest](pg::Transaction& tx) -> Result<std::string> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kReadSource, {digest}));
        if (rows.empty()) {
          return Error{Code::kUnavailable, "the source " + digest + " is not known any more"};
        }
        return rows[0].Bytes(0);
      },
      [weak = std::weak_ptr(impl_), path](Result<std::string> bytes) {
        auto impl = weak.lock();
        if (impl == nullptr) return;
        if (!bytes.ok()) return impl->End(path, bytes.status());
        impl->Make(impl->others, path,
                   [bytes = std::move(*bytes)](const fs::path& directory) -> Status {
                     ASSIGN_OR_RETURN(auto members, ReadArchive(bytes));
                     return WriteMembers(members, directory);
                   });
      });
}

void FunctionFiles::Collect(std::set<std::string> used, Duration idle) {
  SteadyTime now = impl_->loop.Steady();
  for (const char* part : {"images", "sources"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(impl_->PathOf(part, ""), error)) {
      std::string digest = entry.path().filename();
      if (digest.starts_with(".") || used.contains(digest)) continue;
      // What was there before this process is first seen now.
      auto [seen, fresh] = impl_->asked.try_emplace(entry.path(), now);
      if (fresh || now - seen->second < idle || impl_->waiting.contains(entry.path())) continue;
      impl_->asked.erase(seen);
      fs::path gone = entry.path().parent_path() / (".making-" + Uuid::Random().ToString());
      std::error_code failed;
      fs::rename(entry.path(), gone, failed);
      if (failed) continue;
      impl_->others.Add([gone] {
        std::error_code ignored;
        fs::remove_all(gone, ignored);
      });
    }
  }
}

}  // namespace dispatch
