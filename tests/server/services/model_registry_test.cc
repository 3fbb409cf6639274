#include "server/services/model_registry.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

ModelRegistry::Model Named(const std::string& name) {
  auto model = std::make_shared<ServedModel>();
  model->name = name;
  return model;
}

std::vector<std::string> Names(const ModelRegistry& models) {
  std::vector<std::string> names;
  for (const auto& model : models.All()) names.push_back(model->name);
  return names;
}

TEST(ModelRegistryTest, NameChoosesAndNoNameIsTheFirst) {
  ModelRegistry models;
  for (const char* name : {"a", "b"}) EXPECT_EQ(models.Put(Named(name)), nullptr);
  EXPECT_EQ((*models.Find("b"))->name, "b");
  EXPECT_EQ((*models.Find(""))->name, "a");
  EXPECT_THAT(models.Find("secret"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("'a', 'b'"), Not(HasSubstr("secret")))));
}

TEST(ModelRegistryTest, NothingIsFoundBeforeThereIsAModel) {
  EXPECT_THAT(ModelRegistry().Find(""), StatusIs(absl::StatusCode::kNotFound, HasSubstr("model")));
}

TEST(ModelRegistryTest, ReplacementKeepsThePlaceAndWhoHasTheOldOneKeepsIt) {
  ModelRegistry models;
  for (const char* name : {"a", "b"}) models.Put(Named(name));
  const ModelRegistry::Model old = *models.Find("");
  const ModelRegistry::Model next = Named("a");
  EXPECT_EQ(models.Put(next), old);
  EXPECT_EQ(*models.Find(""), next);
  EXPECT_THAT(Names(models), ElementsAre("a", "b"));
  EXPECT_EQ(old->name, "a");
}

TEST(ModelRegistryTest, DefaultCanBeChangedAndIsNotRemoved) {
  ModelRegistry models;
  for (const char* name : {"a", "b", "c"}) models.Put(Named(name));
  EXPECT_THAT(models.Remove("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("'a'")));
  EXPECT_THAT(models.SetDefault("c"), IsOk());
  EXPECT_THAT(Names(models), ElementsAre("c", "a", "b"));
  EXPECT_EQ((*models.Remove("a"))->name, "a");
  EXPECT_THAT(models.Remove("a"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'c', 'b'")));
  EXPECT_THAT(models.SetDefault("a"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'c'")));
}

}  // namespace
}  // namespace contexture
