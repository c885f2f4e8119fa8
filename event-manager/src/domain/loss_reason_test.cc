#include "event-manager/src/domain/loss_reason.h"

#include <gtest/gtest.h>

#include <string>

namespace dispatch::loss_reason_test {
namespace {

json::object Stored() {
  return {{"status", "READY"}, {"reason", json::array{"a word"}}, {"internal", json::object{}}};
}

std::string Reasons(const json::object& document) {
  return json::Serialize(document.at("reason").as_array());
}

TEST(LossReasonTest, AddsUpOverPartitionsAndKeepsOtherReasons) {
  auto document = Stored();
  EXPECT_TRUE(NoteLoss(document, {{0, 5}, {3, 2}}, FromMillis(0)));
  EXPECT_NE(Reasons(document).find("a word"), std::string::npos);
  EXPECT_NE(Reasons(document).find("retention took 7 of"), std::string::npos) << Reasons(document);
  EXPECT_TRUE(NoteLoss(document, {{3, 4}}, FromMillis(1000)));
  EXPECT_NE(Reasons(document).find("retention took 9 of"), std::string::npos) << Reasons(document);
  EXPECT_EQ(document["reason"].as_array().size(), 2u);
}

TEST(LossReasonTest, ToldAgainItChangesNothing) {
  auto document = Stored();
  EXPECT_TRUE(NoteLoss(document, {{0, 5}}, FromMillis(0)));
  document["reason"] = json::array();  // somebody updated it
  EXPECT_FALSE(NoteLoss(document, {{0, 5}}, FromMillis(1000)));
  EXPECT_FALSE(NoteLoss(document, {{0, 3}}, FromMillis(1000)));
  EXPECT_TRUE(document["reason"].as_array().empty());
}

}  // namespace
}  // namespace dispatch::loss_reason_test
