#include "common/http/address_check.h"

#include <fmt/format.h>

#include "common/http/internal/resolver.h"

namespace dispatch::http {

struct AddressCheck::Impl {
  Impl(EventLoop& the_loop, bool allow)
      : loop(the_loop), allow_private(allow), resolver(the_loop) {}

  struct Job {
    std::vector<std::string> hosts;
    std::vector<std::string> allowed;
    std::function<void(Result<std::vector<std::string>>)> done;
  };

  void Next(const std::shared_ptr<Job>& job) {
    if (job->allowed.size() == job->hosts.size()) {
      return job->done(job->allowed);
    }
    const std::string& host = job->hosts[job->allowed.size()];
    if (const auto* known = resolver.Cached(host)) return Judge(job, host, *known);
    resolver.Resolve(host, [this, job, host](const Result<internal::Addresses>& addresses) {
      Judge(job, host, addresses);
    });
  }

  void Judge(const std::shared_ptr<Job>& job, const std::string& host,
             const Result<internal::Addresses>& addresses) {
    if (!addresses.ok()) return job->done(addresses.error());
    for (const auto& address : *addresses) {
      if (address.IsMetadata() || (!allow_private && !address.IsPublic())) continue;
      job->allowed.push_back(address.Host());
      return Next(job);
    }
    job->done(Error{Code::kPermissionDenied,
                    fmt::format("{} is a private address, which the operator does not allow", host),
                    false,
                    {}});
  }

  EventLoop& loop;
  const bool allow_private;
  internal::Resolver resolver;
  std::shared_ptr<char> alive = std::make_shared<char>();
};

AddressCheck::AddressCheck(EventLoop& loop, bool allow_private)
    : impl_(std::make_unique<Impl>(loop, allow_private)) {}
AddressCheck::~AddressCheck() = default;

void AddressCheck::Check(std::vector<std::string> hosts,
                         std::function<void(Result<std::vector<std::string>>)> done) {
  auto job = std::make_shared<Impl::Job>();
  job->hosts = std::move(hosts);
  job->done = std::move(done);
  impl_->loop.Post([impl = impl_.get(), alive = std::weak_ptr(impl_->alive), job] {
    if (!alive.expired()) impl->Next(job);
  });
}

}  // namespace dispatch::http
