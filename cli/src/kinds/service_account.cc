#include "cli/src/kinds/kind.h"
#include "common/crypto.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  if (auto file = flags.Value("public-key")) {
    ASSIGN_OR_RETURN(std::string pem, ReadFile(*file));
    document["publicKey"] = crypto::Base64Encode(pem);
  }
  FillText(flags, "audience", document, "audience");
  return FillTags(flags, document);
}

}  // namespace

Kind ServiceAccountKind() {
  return {.name = "serviceaccount",
          .aliases = {"serviceaccounts", "service-account", "svc-account"},
          .document_kind = "ServiceAccount",
          .path = "/v1/iam/serviceaccount",
          .flags = {{.name = "public-key",
                     .value = "FILE",
                     .help = "in PEM: RSA, P-256, P-384 or Ed25519; two while one is rotated"},
                    {.name = "audience", .value = "TEXT", .help = "what its tokens must be for"},
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"), TimeColumn("CREATED DATE", "createdTime")},
          .examples = {"dispatch create serviceaccount ci --public-key ci.pub"},
          .label = "service account",
          .deleted_label = "ServiceAccount"};
}

}  // namespace dispatch::cli
