#include "function-manager/src/adapters/application_commands.h"

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "function-manager/src/adapters/ready_object.h"
#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

using schema::kApplicationKind;

namespace {

Result<json::object> ApplicationDocument(const json::object& body) {
  schema::RequestReader reader(body);
  std::string name = reader.RequiredString("name");
  if (!name.empty() && !schema::IsObjectName(name)) {
    reader.Fault("name",
                 "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit");
  }
  json::object out{{"name", name}, {"kind", "Application"}, {"tags", reader.Tags()}};
  reader.Allow(
      {"id", "kind", "revision", "status", "reason", "org", "createdTime", "modifiedTime"});
  if (!reader.ok()) return reader.error();
  return out;
}

}  // namespace

void ApplicationCommands::Register(broker::RpcServer& server) {
  for (const char* method : {"application.create", "application.update"}) {
    server.HandleChange(
        method, AnsweringRepeats(pool_, [this](const auto& r, auto d) { Write(r, std::move(d)); }));
  }
  server.HandleChange("application.delete", AnsweringRepeats(pool_, [this](const auto& r, auto d) {
                        Delete(r, std::move(d));
                      }));
}

void ApplicationCommands::Write(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto document = ApplicationDocument(*body);
  if (!document.ok()) return respond(document.error());
  WriteReadyObject(loop_, pool_, request, kApplicationKind, *document, {},
                   Committing(committed_, std::move(respond)));
}

void ApplicationCommands::Delete(const schema::Request& request, Responder respond) {
  DeleteObject(pool_, request, kApplicationKind, Committing(committed_, std::move(respond)));
}

}  // namespace dispatch
