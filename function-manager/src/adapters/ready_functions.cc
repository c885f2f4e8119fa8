#include "function-manager/src/adapters/ready_functions.h"

#include <fmt/format.h>

#include <set>
#include <unordered_map>

#include "function-manager/src/domain/function_document.h"
#include "function-manager/src/domain/languages.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

using schema::kFunctionKind;

constexpr auto kTend = std::chrono::seconds(5);
constexpr auto kIdle = std::chrono::minutes(10);
constexpr int kCollectEach = 12;  // tendings

using EntityPtr = std::shared_ptr<const broker::Entity>;

Error NotReady(const broker::Entity& entity) {
  std::string why;
  const auto* reasons = json::GetArray(entity.document, "reason");
  if (reasons != nullptr && !reasons->empty() && (*reasons)[0].is_string()) {
    why = ": " + std::string((*reasons)[0].as_string());
  }
  if (json::GetString(entity.document, "runtime") != "process") {
    why = ": it is run at its url, by deliveries only";
  }
  return {Code::kNotFound, fmt::format("function {} is not READY{}", entity.name, why)};
}

std::shared_ptr<const ReadyFunction> Made(const broker::Entity& entity, const std::string& image,
                                          const std::string& source) {
  auto made = std::make_shared<ReadyFunction>();
  const json::object& document = entity.document;
  const auto* version = json::GetObject(document, "version");
  made->uuid = entity.uuid;
  made->version = std::make_shared<const FunctionVersion>(
      RunnableVersion(entity.org, entity.name, document, ServingFaasId(document),
                      json::GetString(*version, "language"), image, source));
  if (const auto* schema = json::GetObject(document, "schema")) {
    if (const auto* in = schema->if_contains("in")) made->schema_in = *in;
    if (const auto* out = schema->if_contains("out")) made->schema_out = *out;
  }
  if (const auto* secrets = json::GetArray(document, "secrets")) {
    for (const auto& secret : *secrets) {
      if (secret.is_string()) made->secrets.emplace_back(secret.as_string());
    }
  }
  made->timeout = std::chrono::milliseconds(json::GetInt(document, "timeout"));
  return made;
}

}  // namespace

struct ReadyFunctions::Impl : std::enable_shared_from_this<Impl> {
  Impl(Loop& the_loop, const broker::StateTable& the_functions, FunctionFiles& the_files,
       Runner& the_runner)
      : loop(the_loop), functions(the_functions), files(the_files), runner(the_runner) {}

  void Find(const std::string& org, const std::string& name, Done done) {
    auto entity = functions.Find(kFunctionKind, org + "/" + name);
    if (entity == nullptr) {
      return done(
          Error{Code::kNotFound, fmt::format("function {} is not READY: it does not exist", name)});
    }
    const auto* version = json::GetObject(entity->document, "version");
    if (version == nullptr) return done(NotReady(*entity));
    if (json::GetString(*version, "language") == kContainerLanguage) {
      return WithSource(entity, json::GetString(*version, "imageDigest"), done);
    }
    auto self = shared_from_this();
    files.Image(json::GetString(*version, "imageDigest"),
                [self, entity, done](Result<std::string> image) {
                  if (!image.ok()) return done(Unavailable(*entity, image.status()));
                  self->WithSource(entity, *image, done);
                });
  }

  void WithSource(const EntityPtr& entity, const std::string& image, const Done& done) {
    const auto* version = json::GetObject(entity->document, "version");
    auto self = shared_from_this();
    files.Source(json::GetString(*version, "sourceDigest"),
                 [self, entity, image, done](Result<std::string> source) {
                   if (!source.ok()) return done(Unavailable(*entity, source.status()));
                   done(self->Kept(*entity, image, *source));
                 });
  }

  // It was READY once, so what is in the way now is not the function's.
  static Error Unavailable(const broker::Entity& entity, const Status& status) {
    return {
        Code::kUnavailable,
        fmt::format("function {} cannot be made ready here now: {}", entity.name, status.message()),
        true};
  }

  std::shared_ptr<const ReadyFunction> Kept(const broker::Entity& entity, const std::string& image,
                                            const std::string& source) {
    Uuid id = ServingFaasId(entity.document);
    auto& kept = ready[id];
    if (kept == nullptr) kept = Made(entity, image, source);
    return kept;
  }

  void Tend() {
    std::set<Uuid> serving;
    std::set<std::string> digests;
    functions.ForEach(kFunctionKind, [&](const EntityPtr& entity) {
      const auto* version = json::GetObject(entity->document, "version");
      if (version == nullptr) return;
      serving.insert(ServingFaasId(entity->document));
      digests.insert(json::GetString(*version, "imageDigest"));
      digests.insert(json::GetString(*version, "sourceDigest"));
    });
    std::erase_if(ready, [&](const auto& kept) {
      if (serving.contains(kept.first)) return false;
      runner.Retire(kept.first);
      return true;
    });
    if (++tended % kCollectEach == 0 && functions.ready()) {
      files.Collect(std::move(digests), kIdle);
    }
    loop.After(kTend, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->Tend();
    });
  }

  Loop& loop;
  const broker::StateTable& functions;
  FunctionFiles& files;
  Runner& runner;
  std::unordered_map<Uuid, std::shared_ptr<const ReadyFunction>> ready;  // by faasId
  int tended = 0;
};

ReadyFunctions::ReadyFunctions(Loop& loop, const broker::StateTable& functions,
                               FunctionFiles& files, Runner& runner)
    : impl_(std::make_shared<Impl>(loop, functions, files, runner)) {}

ReadyFunctions::~ReadyFunctions() = default;

void ReadyFunctions::Start() { impl_->Tend(); }

void ReadyFunctions::Find(const std::string& org, const std::string& name, Done done) {
  impl_->Find(org, name, std::move(done));
}

}  // namespace dispatch
