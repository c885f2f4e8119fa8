#include "event-manager/src/domain/drivers/time_zone.h"

#include <unicode/basictz.h>
#include <unicode/timezone.h>
#include <unicode/tztrans.h>

namespace dispatch {

struct Zone::Impl {
  std::unique_ptr<icu::BasicTimeZone> zone;
};

Result<Zone> Zone::Named(const std::string& name) {
  Error unknown{Code::kInvalidArgument,
                "'" + name + "' is no time zone: give a name as Europe/Berlin, or UTC"};
  auto text = icu::UnicodeString::fromUTF8(name);
  std::unique_ptr<icu::TimeZone> zone(icu::TimeZone::createTimeZone(text));
  if (zone == nullptr || *zone == icu::TimeZone::getUnknown()) return unknown;
  auto* basic = dynamic_cast<icu::BasicTimeZone*>(zone.get());
  if (basic == nullptr) return unknown;
  auto impl = std::make_shared<Impl>();
  impl->zone.reset(basic);
  (void)zone.release();
  return Zone(std::move(impl));
}

int64_t Zone::OffsetAt(int64_t utc) const {
  int32_t raw = 0;
  int32_t saving = 0;
  UErrorCode error = U_ZERO_ERROR;
  impl_->zone->getOffset(static_cast<UDate>(utc) * 1000, false, raw, saving, error);
  return U_FAILURE(error) ? 0 : (raw + saving) / 1000;
}

std::optional<int64_t> Zone::NextTransition(int64_t utc) const {
  icu::TimeZoneTransition transition;
  if (!impl_->zone->getNextTransition(static_cast<UDate>(utc) * 1000, false, transition)) {
    return std::nullopt;
  }
  return static_cast<int64_t>(transition.getTime() / 1000);
}

}  // namespace dispatch
