#pragma once

#include <string>

#include "api-gateway/src/domain/browse/browser.h"
#include "api-gateway/src/domain/gateway.h"
#include "api-gateway/src/domain/lag_streams.h"
#include "api-gateway/src/domain/publisher.h"
#include "api-gateway/src/domain/run_streams.h"
#include "api-gateway/src/domain/service_client.h"
#include "api-gateway/src/domain/source_uploads.h"

/// The routes, one file a resource (routes/*.cc). What is passed in must outlive the gateway.
namespace dispatch::gateway {

/// What handlers work with.
struct Backend {
  Loop& loop;
  Tables tables;
  ServiceClient& services;
  Publisher& publisher;
  EventBrowser& browser;
  RunStreams& run_streams;
  SourceUploads& source_uploads;
  LagStreams& lag_streams;
  Directory& directory;
  std::string service_key = {};            // what the tokens of webhooks are made from
  std::string endpoints_certificate = {};  // the file; empty: no TLS
};

inline constexpr char kEventManager[] = "event-manager";
inline constexpr char kFunctionManager[] = "function-manager";
inline constexpr char kIdentity[] = "identity";

void AddEventRoutes(Gateway& gateway, Backend& backend);
void AddBrowseRoutes(Gateway& gateway, Backend& backend);
void AddTopicRoutes(Gateway& gateway, Backend& backend);
void AddSubscriptionRoutes(Gateway& gateway, Backend& backend);
void AddDeliveryRoutes(Gateway& gateway, Backend& backend);
void AddDeadLetterRoutes(Gateway& gateway, Backend& backend);
void AddFunctionRoutes(Gateway& gateway, Backend& backend);
void AddRunRoutes(Gateway& gateway, Backend& backend);
void AddApplicationRoutes(Gateway& gateway, Backend& backend);
void AddApiRoutes(Gateway& gateway, Backend& backend);
void AddSecretRoutes(Gateway& gateway, Backend& backend);
void AddDriverRoutes(Gateway& gateway, Backend& backend);
void AddWebhookRoutes(Gateway& gateway, Backend& backend);
void AddIamRoutes(Gateway& gateway, Backend& backend);
/// What the program is, for /v1/version; without a commit when it was built without git.
struct Version {
  std::string number;
  std::string commit;
};
/// `openapi` is the JSON document.
void AddOperationRoutes(Gateway& gateway, Backend& backend, std::string openapi,
                        const Version& version);

/// All of them.
void AddRoutes(Gateway& gateway, Backend& backend, std::string openapi, const Version& version);

}  // namespace dispatch::gateway
