#include "function-manager/src/adapters/function_worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "broker-adapters/entities/entity_store.h"
#include "common/log.h"
#include "function-manager/src/adapters/function_work.h"
#include "function-manager/src/adapters/image_builder.h"
#include "function-manager/src/domain/function_document.h"
#include "function-manager/src/domain/languages.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

using schema::kBaseImageKind;
using schema::kFunctionKind;
using schema::kImageKind;
using std::chrono::seconds;

constexpr auto kLook = seconds(2);
constexpr auto kRenewEvery = seconds(10);
constexpr auto kRetireAfter = std::chrono::minutes(1);
constexpr auto kCollectEvery = std::chrono::hours(1);
constexpr int kMost = 4;           // under way in this instance
constexpr int kMostOfOrg = 3;      // of those: there is always room for another organisation
constexpr int kMostAttempts = 10;  // begun and never ended, or not possible at the time
constexpr int kWaitSeconds = 1;    // for another object, whose end wakes it but for a race
constexpr size_t kReasonBytes = 4096;

constexpr char kKeepImage[] = R"(
  insert into function_images (digest, language, manifest) values ($1, $2, $3)
  on conflict (digest) do update set created_at = now())";
constexpr char kKeepVersion[] = R"(
  insert into function_versions (function, number, document) values ($1::uuid, $2::int, $3::jsonb)
  on conflict (function, number) do nothing)";
constexpr char kForgetVersions[] = R"(
  delete from function_versions where function = $1::uuid and number not in (
    select number from function_versions where function = $1::uuid
    order by number desc limit $2::int))";
// What nothing names and nobody can be about to name.
constexpr char kCollectVersions[] = R"(
  delete from function_versions v where created_at < now() - interval '1 hour'
    and not exists (select from entities e where e.uuid = v.function))";
constexpr char kCollectSources[] = R"(
  delete from function_sources s where created_at < now() - interval '1 day'
    and not exists (select from function_versions v
      where v.document->>'sourceDigest' = s.digest)
    and not exists (select from entities e where e.kind = 'function'
      and s.digest in (e.document->'next'->>'sourceDigest', e.document->'version'->>'sourceDigest',
        e.document->'internal'->>'failedSource')))";
constexpr char kCollectImages[] = R"(
  delete from function_images i where created_at < now() - interval '1 day'
    and not exists (select from function_versions v where v.document->>'imageDigest' = i.digest)
    and not exists (select from entities e
      where e.kind = 'image' and e.document->'internal'->>'digest' = i.digest
        or e.kind = 'function' and i.digest in (e.document->'next'->>'imageDigest',
          e.document->'version'->>'imageDigest')))";

// What is to be done about a piece of work.
struct Plan {
  enum class Do { kNothing, kWait, kFail, kBaseImage, kImage, kFunction };
  Do what = Do::kNothing;
  FunctionWork work;
  std::string reason;        // kFail
  bool told = false;         // the entity was changed
  std::string language;      // as runtimes are called
  std::string docker_url;    // of the base image
  ImageRecipe recipe;        // kImage
  NextVersion next;          // kFunction
  std::string image_digest;  // kFunction
};

std::string LanguageOf(const json::object& document) {
  return RuntimeLanguage(json::GetString(document, "language"),
                         json::GetString(document, "dockerUrl"));
}

std::string Internal(const json::object& document, std::string_view field) {
  const auto* internal = json::GetObject(document, "internal");
  return internal != nullptr ? json::GetString(*internal, field) : "";
}

Uuid TargetOf(const StoredEntity& entity) {
  if (entity.kind != kFunctionKind) {
    auto target = Uuid::Parse(Internal(entity.document, "target"));
    return target.ok() ? *target : Uuid{};
  }
  auto next = NextOf(entity.document);
  return next ? next->faas_id : Uuid{};
}

std::string ReasonOf(const json::object& document) {
  const auto* reasons = json::GetArray(document, "reason");
  if (reasons == nullptr || reasons->empty() || !(*reasons)[0].is_string()) return "no reason";
  return std::string((*reasons)[0].as_string());
}

// Whether what it is made from is READY; else the plan says what becomes of it.
bool IsReady(const StoredEntity& other, const char* what, Plan& plan) {
  std::string status = json::GetString(other.document, "status");
  if (status == "READY") return true;
  plan.what = status == "ERROR" ? Plan::Do::kFail : Plan::Do::kWait;
  plan.reason = fmt::format("{} {} is in ERROR: {}", what, other.name, ReasonOf(other.document));
  return false;
}

Status PlanImage(EntityStore& store, const StoredEntity& entity, Plan& plan) {
  ASSIGN_OR_RETURN(auto base, store.Find(kBaseImageKind, entity.org,
                                         json::GetString(entity.document, "baseImageName")));
  if (!base) {
    plan.what = Plan::Do::kFail;
    plan.reason = "its base image is gone";
    return {};
  }
  if (!IsReady(*base, "base image", plan)) return {};
  plan.what = Plan::Do::kImage;
  plan.language = LanguageOf(base->document);
  plan.docker_url = json::GetString(base->document, "dockerUrl");
  plan.recipe.language = plan.language;
  if (const auto* runtime = json::GetObject(entity.document, "runtimeDependencies")) {
    plan.recipe.manifest = json::GetString(*runtime, "manifest");
  }
  return {};
}

Status PlanFunction(EntityStore& store, const StoredEntity& entity, Plan& plan) {
  plan.next = *NextOf(entity.document);
  plan.what = Plan::Do::kFunction;
  if (plan.next.image_digest) {
    plan.image_digest = *plan.next.image_digest;
    plan.language = plan.next.language;
    return {};
  }
  ASSIGN_OR_RETURN(auto image,
                   store.Find(kImageKind, entity.org, json::GetString(plan.next.fields, "image")));
  if (!image) {
    plan.what = Plan::Do::kFail;
    plan.reason = "its image is gone";
    return {};
  }
  if (!IsReady(*image, "image", plan)) return {};
  plan.language = LanguageOf(image->document);
  plan.image_digest = Internal(image->document, "digest");
  return {};
}

// Locks the entity, and its work behind it.
Result<Plan> MakePlan(pg::Transaction& tx, const FunctionWork& work) {
  Plan plan;
  plan.work = work;
  EntityStore store(tx);
  auto found = store.Lock(work.kind, work.org, work.name);
  if (!found.ok() && found.status().code() != Code::kNotFound) return found.status();
  if (!found.ok() || found->uuid != work.entity || TargetOf(*found) != work.target) {
    RETURN_IF_ERROR(EndWork(tx, work));
    return plan;
  }
  StoredEntity& entity = *found;
  if (work.kind == kImageKind) {
    RETURN_IF_ERROR(PlanImage(store, entity, plan));
  } else if (work.kind == kFunctionKind) {
    RETURN_IF_ERROR(PlanFunction(store, entity, plan));
  } else {
    plan.what = Plan::Do::kBaseImage;
    plan.language = LanguageOf(entity.document);
    plan.docker_url = json::GetString(entity.document, "dockerUrl");
  }
  if (work.attempts > kMostAttempts && plan.what != Plan::Do::kWait) {
    plan.what = Plan::Do::kFail;
    plan.reason = fmt::format("it was begun {} times and never came to an end", kMostAttempts);
  }
  if (plan.what == Plan::Do::kWait) {
    RETURN_IF_ERROR(DelayWork(tx, work, kWaitSeconds, true));
  } else if (json::GetString(entity.document, "status") == "INITIALIZED") {
    entity.document["status"] = "CREATING";
    RETURN_IF_ERROR(store.Update(entity, std::nullopt));
    plan.told = true;
  }
  return plan;
}

Status KeepVersion(pg::Transaction& tx, const StoredEntity& entity) {
  json::object record = VersionRecord(entity.document);
  RETURN_IF_ERROR(
      tx.Exec(kKeepVersion, {entity.uuid.ToString(), std::to_string(json::GetInt(record, "number")),
                             json::Serialize(record)}));
  return tx.Exec(kForgetVersions, {entity.uuid.ToString(), std::to_string(kKeptVersions)}).status();
}

json::array LinesOf(std::string_view said) {
  json::array lines;
  while (!said.empty()) {
    std::string_view line = said.substr(0, said.find_first_of("\r\n"));
    said.remove_prefix(std::min(said.size(), line.size() + 1));
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

// What a tool said so far into the image that it works for. True: the entity was changed.
Result<bool> TellSaid(pg::Transaction& tx, const Plan& plan, const std::string& said) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto entity, store.Lock(plan.work.kind, plan.work.org, plan.work.name));
  std::string status = json::GetString(entity.document, "status");
  bool ended = status == "READY" || status == "ERROR";
  if (ended || entity.uuid != plan.work.entity || TargetOf(entity) != plan.work.target) {
    return false;
  }
  entity.document["log"] = LinesOf(said);
  RETURN_IF_ERROR(store.Update(entity, std::nullopt));
  return true;
}

void FinishImage(json::object& document, const Plan& plan, const Result<std::string>& outcome,
                 const std::string& said) {
  document["status"] = outcome.ok() ? "READY" : "ERROR";
  document.erase("log");
  if (!said.empty()) document["log"] = LinesOf(said);
  json::array reason;
  const auto* system = json::GetObject(document, "systemDependencies");
  bool packages = system != nullptr && json::GetArray(*system, "packages") != nullptr;
  bool container = plan.language == kContainerLanguage;
  if (!outcome.ok()) {
    reason.emplace_back(outcome.message());
  } else if (container && (!plan.recipe.manifest.empty() || packages)) {
    reason.emplace_back(
        "dependencies are recorded but not installed: a container has what is in its image");
  } else if (packages) {
    reason.emplace_back(
        "system packages are recorded but not installed: functions see those of the machine");
  }
  document["reason"] = std::move(reason);
  if (outcome.ok()) {
    document["internal"] = {{"target", plan.work.target.ToString()},
                            {"digest", container ? *outcome : plan.recipe.Digest()}};
  }
}

// True: the entity was changed.
Result<bool> Finish(pg::Transaction& tx, const Plan& plan, const Result<std::string>& outcome,
                    const std::string& said, int64_t now_s) {
  EntityStore store(tx);
  auto found = store.Lock(plan.work.kind, plan.work.org, plan.work.name);
  if (!found.ok() && found.status().code() != Code::kNotFound) return found.status();
  bool current =
      found.ok() && found->uuid == plan.work.entity && TargetOf(*found) == plan.work.target;
  RETURN_IF_ERROR(EndWork(tx, plan.work));
  if (!current) return false;
  StoredEntity& entity = *found;
  if (entity.kind == kFunctionKind && outcome.ok()) {
    AdoptVersion(entity.document, plan.image_digest, plan.language, now_s);
    RETURN_IF_ERROR(KeepVersion(tx, entity));
  } else if (entity.kind == kFunctionKind) {
    DropVersion(entity.document, outcome.message(), now_s);
  } else {
    FinishImage(entity.document, plan, outcome, said);
    std::string digest = plan.recipe.Digest();
    if (outcome.ok() && !digest.empty()) {
      RETURN_IF_ERROR(
          tx.Exec(kKeepImage, {digest, plan.recipe.language, plan.recipe.manifest}).status());
    }
    RETURN_IF_ERROR(WakeWork(tx, entity.org));
  }
  RETURN_IF_ERROR(store.Update(entity, std::nullopt));
  return true;
}

// The end of a tool's words is what tells.
Result<std::string> Bounded(const Result<std::string>& status) {
  if (status.ok() || status.message().size() <= kReasonBytes) return status;
  const std::string& text = status.message();
  std::string bounded = text.substr(0, 200) + " ... " + text.substr(text.size() - kReasonBytes);
  // Cut between characters, not in one.
  std::erase_if(bounded, [](unsigned char c) { return c >= 0x80; });
  return Error{status.code(), bounded, status.error().retryable};
}

}  // namespace

struct FunctionWorker::Impl : std::enable_shared_from_this<Impl> {
  Impl(Loop& the_loop, pg::Pool& the_pool, FunctionFiles& the_files, ContainerImages& the_images,
       Runner& the_runner, std::function<void()> the_told)
      : loop(the_loop),
        pool(the_pool),
        files(the_files),
        images(the_images),
        runner(the_runner),
        told(std::move(the_told)) {}

  template <typename T>
  void Query(std::function<Result<T>(pg::Transaction&)> work, std::function<void(Result<T>)> done) {
    pool.Query<T>(std::move(work),
                  [weak = weak_from_this(), done = std::move(done)](Result<T> result) {
                    if (!weak.expired()) done(std::move(result));
                  });
  }

  void Every(Duration time, void (Impl::*what)()) {
    loop.After(time, [weak = weak_from_this(), time, what] {
      auto self = weak.lock();
      if (self == nullptr || self->stopping) return;
      ((*self).*what)();
      self->Every(time, what);
    });
  }

  void Look() {
    if (stopping || !started) return;
    again = asking;
    if (asking || under_way.size() >= kMost) return;
    asking = true;
    std::vector<std::string> orgs;
    for (const auto& [target, org] : under_way) orgs.push_back(org);
    Query<std::optional<FunctionWork>>(
        [owner = owner, orgs](pg::Transaction& tx) {
          return ClaimWork(tx, owner, orgs, kMostOfOrg);
        },
        [this](Result<std::optional<FunctionWork>> claimed) {
          asking = false;
          bool found = claimed.ok() && claimed->has_value();
          // It may be under way all the while, when its lease could not be renewed.
          if (found && under_way.emplace((*claimed)->target, (*claimed)->org).second) {
            Begin(**claimed);
          }
          if (found || again) Look();
        });
  }

  void LookAfter(Duration time) {
    loop.After(time, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->Look();
    });
  }

  void Begin(const FunctionWork& work) {
    Query<Plan>([work](pg::Transaction& tx) { return MakePlan(tx, work); },
                [this, work](Result<Plan> plan) {
                  if (!plan.ok()) return PutOff(work, "not begun", plan.message());
                  if (plan->told) told();
                  Do(std::make_shared<const Plan>(std::move(*plan)));
                });
  }

  using PlanPtr = std::shared_ptr<const Plan>;

  void Do(const PlanPtr& plan) {
    bool container = plan->language == kContainerLanguage;
    if (container && (plan->what == Plan::Do::kBaseImage || plan->what == Plan::Do::kImage)) {
      return images.Find(plan->docker_url,
                         Guarded<Result<std::string>>(
                             [this, plan](const Result<std::string>& found) { End(plan, found); }));
    }
    if (container && plan->what == Plan::Do::kFunction) return Unpack(plan, plan->image_digest);
    switch (plan->what) {
      case Plan::Do::kNothing:
        return Leave(plan->work);
      case Plan::Do::kWait:
        LookAfter(seconds(kWaitSeconds));
        return Leave(plan->work);
      case Plan::Do::kFail:
        return End(plan, Error{Code::kUnprocessable, plan->reason});
      case Plan::Do::kBaseImage: {
        std::string fault = LanguageFault(plan->language);
        if (fault.empty()) return End(plan, std::string());
        return End(plan, Error{Code::kUnprocessable, fault});
      }
      case Plan::Do::kImage:
        return files.Build(plan->recipe,
                           Guarded<const std::string&>(
                               [this, plan](const std::string& heard) { Hear(plan, heard); }),
                           Guarded<Result<std::string>>(
                               [this, plan](const auto& directory) { End(plan, directory); }));
      case Plan::Do::kFunction:
        return files.Image(plan->image_digest,
                           Guarded<Result<std::string>>([this, plan](auto directory) {
                             if (!directory.ok()) return End(plan, directory);
                             Unpack(plan, *directory);
                           }));
    }
  }

  // It goes into the image while the tool works; of what comes faster than it is written, the
  // newest.
  void Hear(const PlanPtr& plan, const std::string& heard) {
    Said& said = said_by[plan->work.entity];
    said.text = heard;
    if (!said.writing) WriteSaid(plan);
  }

  void WriteSaid(const PlanPtr& plan) {
    Said& said = said_by[plan->work.entity];
    said.writing = true;
    Query<bool>([plan, text = said.text](pg::Transaction& tx) { return TellSaid(tx, *plan, text); },
                [this, plan, text = said.text](const Result<bool>& changed) {
                  if (changed.ok() && *changed) told();
                  auto found = said_by.find(plan->work.entity);
                  if (found == said_by.end()) return;  // it ended meanwhile
                  found->second.writing = false;
                  if (changed.ok() && found->second.text != text) WriteSaid(plan);
                });
  }

  void Unpack(const PlanPtr& plan, const std::string& image) {
    files.Source(plan->next.source_digest,
                 Guarded<Result<std::string>>([this, plan, image](auto directory) {
                   if (!directory.ok()) return End(plan, directory);
                   Prove(plan, image, *directory);
                 }));
  }

  void Prove(const PlanPtr& plan, const std::string& image, const std::string& source) {
    auto version = std::make_shared<const FunctionVersion>(
        RunnableVersion(plan->work.org, plan->work.name, plan->next.fields, plan->next.faas_id,
                        plan->language, image, source));
    runner.Prove(version, Guarded<Status>([this, plan, version](const Status& proved) {
                   if (!proved.ok()) {
                     runner.Retire(version->id);
                   } else {
                     RetireBefore(plan->work.entity, version->id);
                   }
                   if (!proved.ok()) return End(plan, proved.error());
                   End(plan, std::string());
                 }));
  }

  // The one that this instance proved before may never have been run here, and so is retired by
  // nobody else. Runs that were about to begin still find it.
  void RetireBefore(const Uuid& entity, const Uuid& id) {
    Uuid before = std::exchange(proved_last[entity], id);
    if (before.is_nil()) return;
    loop.After(kRetireAfter, [weak = weak_from_this(), before] {
      if (auto self = weak.lock()) self->runner.Retire(before);
    });
  }

  template <typename T>
  std::function<void(T)> Guarded(std::function<void(T)> done) {
    return [weak = weak_from_this(), done = std::move(done)](T result) {
      if (!weak.expired()) done(std::move(result));
    };
  }

  // With what names the image, of a container's.
  void End(const PlanPtr& plan, const Result<std::string>& status) {
    Result<std::string> outcome = Bounded(status);
    const FunctionWork& work = plan->work;
    auto told_so_far = said_by.extract(work.entity);
    std::string said = told_so_far.empty() ? std::string() : std::move(told_so_far.mapped().text);
    if (!outcome.ok() && outcome.code() == Code::kUnavailable && work.attempts < kMostAttempts) {
      return PutOff(work, "not possible now", outcome.message());
    }
    Query<bool>([plan, outcome, said, now_s = ToMillis(loop.Now()) / 1000](
                    pg::Transaction& tx) { return Finish(tx, *plan, outcome, said, now_s); },
                [this, plan, outcome](Result<bool> changed) {
                  const FunctionWork& done = plan->work;
                  if (!changed.ok()) return PutOff(done, "not ended", changed.message());
                  if (*changed) {
                    log::Info("work done kind={} org={} name={} ready={} reason=\"{}\"", done.kind,
                              done.org, done.name, outcome.ok(), outcome.message());
                    told();
                  }
                  Leave(done);
                });
  }

  // Begun again after a while, or when its lease ends, if it cannot even be given back.
  void PutOff(const FunctionWork& work, const char* what, const std::string& error) {
    log::Warning("work put off because=\"{}\" kind={} org={} name={} attempt={} error=\"{}\"", what,
                 work.kind, work.org, work.name, work.attempts, error);
    int wait = std::min(60, 1 << std::min(work.attempts, 6));
    Query<bool>(
        [work, wait](pg::Transaction& tx) -> Result<bool> {
          RETURN_IF_ERROR(DelayWork(tx, work, wait, false));
          return true;
        },
        [this, work](Result<bool>) { Leave(work); });
  }

  void Leave(const FunctionWork& work) {
    under_way.erase(work.target);
    Look();
  }

  void Renew() {
    if (under_way.empty()) return;
    std::vector<Uuid> targets;
    for (const auto& [target, org] : under_way) targets.push_back(target);
    pool.Run(
        [owner = owner, targets](pg::Transaction& tx) { return RenewWork(tx, owner, targets); },
        [](const Status&) {});
  }

  void Collect() {
    pool.Run(
        [](pg::Transaction& tx) -> Status {
          RETURN_IF_ERROR(tx.Exec(kCollectVersions));
          RETURN_IF_ERROR(tx.Exec(kCollectSources));
          return tx.Exec(kCollectImages).status();
        },
        [](const Status& status) {
          if (!status.ok()) log::Warning("nothing collected error=\"{}\"", status.message());
        });
  }

  Loop& loop;
  pg::Pool& pool;
  FunctionFiles& files;
  ContainerImages& images;
  Runner& runner;
  const std::function<void()> told;
  const std::string owner = Uuid::Random().ToString();
  bool started = false;
  bool stopping = false;
  bool asking = false;                              // a claim is under way
  bool again = false;                               // look once more when it is answered
  std::unordered_map<Uuid, std::string> under_way;  // organisations, by the work's target
  struct Said {
    std::string text;
    bool writing = false;
  };
  std::unordered_map<Uuid, Said> said_by;      // of tools at work, by the image's uuid
  std::unordered_map<Uuid, Uuid> proved_last;  // by the function's uuid
};

FunctionWorker::FunctionWorker(Loop& loop, pg::Pool& pool, FunctionFiles& files,
                               ContainerImages& images, Runner& runner, std::function<void()> told)
    : impl_(std::make_shared<Impl>(loop, pool, files, images, runner, std::move(told))) {}

FunctionWorker::~FunctionWorker() = default;

void FunctionWorker::Start() {
  impl_->started = true;
  impl_->Every(kLook, &Impl::Look);
  impl_->Every(kRenewEvery, &Impl::Renew);
  impl_->Every(kCollectEvery, &Impl::Collect);
  impl_->Look();
}

void FunctionWorker::Nudge() { impl_->Look(); }

void FunctionWorker::Stop(std::function<void()> stopped) {
  impl_->stopping = true;
  impl_->pool.Run([owner = impl_->owner](pg::Transaction& tx) { return ReleaseWork(tx, owner); },
                  [stopped = std::move(stopped)](const Status&) { stopped(); });
}

}  // namespace dispatch
