#include "api-gateway/src/domain/knative_object.h"

#include <gtest/gtest.h>

namespace dispatch::gateway::knative_object_test {
namespace {

TEST(KnativeObject, ItsNamesBecomeTheOthers) {
  json::object base{{"name", "b"},   {"imageURL", "x/y:1"}, {"revision", ""},
                    {"project", ""}, {"org", ""},           {"backingObject", nullptr}};
  TakeKnativeFields("baseimage", base);
  EXPECT_EQ(base, (json::object{{"name", "b"}, {"dockerUrl", "x/y:1"}, {"org", ""}}));
  json::object image{{"name", "i"}, {"baseImage", "b"}, {"imageURL", ""}, {"revision", 3}};
  TakeKnativeFields("image", image);
  EXPECT_EQ(image, (json::object{{"name", "i"}, {"baseImageName", "b"}, {"revision", 3}}));
  json::object secret{{"meta", {{"name", "s"}}}, {"secrets", {{"a", "b"}}}};
  TakeKnativeFields("secret", secret);
  EXPECT_EQ(secret, (json::object{{"name", "s"}, {"secrets", {{"a", "b"}}}}));
}

TEST(KnativeObject, OtherKindsAndNamesStayAsTheyAre) {
  json::object topic{{"name", "t"}, {"project", "p"}};
  TakeKnativeFields("topic", topic);
  EXPECT_TRUE(topic.contains("project"));
  json::object image{{"name", "i"}, {"baseImage", "other"}, {"baseImageName", "b"}};
  TakeKnativeFields("image", image);
  EXPECT_EQ(json::GetString(image, "baseImageName"), "b");
}

TEST(KnativeObject, AnswersHaveBothNames) {
  json::object form{{"kind", "Image"}, {"baseImageName", "b"}, {"dockerUrl", "u"}};
  AddKnativeFields(form);
  EXPECT_EQ(json::GetString(form, "baseImage"), "b");
  EXPECT_EQ(json::GetString(form, "imageURL"), "u");
  json::object topic{{"name", "t"}};
  AddKnativeFields(topic);
  EXPECT_EQ(topic.size(), 1u);
}

}  // namespace
}  // namespace dispatch::gateway::knative_object_test
