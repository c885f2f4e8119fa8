#pragma once

#include <vector>

#include "common/span.h"
#include "function-manager/src/domain/answer.h"
#include "function-manager/src/domain/delivery.h"
#include "function-manager/src/domain/sender.h"
#include "schema/objects.h"

namespace dispatch {

/// The spans of one request to an endpoint: an attempt's for each delivery that goes along, in the
/// trace of its event, if that is sampled. The endpoint is told of the first one; the others have a
/// link to it. Nothing is allocated when nobody exports.
class AttemptSpans {
 public:
  explicit AttemptSpans(const Tracer* tracer) : tracer_(tracer) {}

  /// A delivery that goes along, the first one first. Sets the request's context for the first.
  void Add(const Delivery& delivery, const schema::Subscription& subscription,
           SendRequest& request);
  void End(const Answer& answer, Effect effect, const std::string& described) const;

 private:
  const Tracer* tracer_;
  std::vector<SpanPtr> spans_;
};

}  // namespace dispatch
